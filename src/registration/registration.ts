import type { Logger } from 'pino'
import type { CatalogWriter } from '../log/catalog/change.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { Registrar } from './registrar.ts'
import { RegisteredToday } from './today.ts'

/** Milliseconds until the warning is logged again. */
const REPEAT_MS = 3_600_000

const WARNING =
  'catalog: unknown keys are not registered until midnight UTC, because ' +
  'TALLYBOOK_REGISTER_PER_DAY is reached'

export type RegistrationOptions = {
  writer: CatalogWriter
  /** For reads of what was registered. */
  control: Sql
  /** The most keys that the service registers on a day, all instances together. */
  perDay: number
  logger: Logger
  /** Called with the number of keys that a batch names and that the limit leaves unknown. */
  onLimit: (keys: number) => void
}

/** The registration of unknown keys in a service: registers them, and reports the limit. */
export class Registration {
  readonly perDay: number
  /** Registers the unknown keys of flushes that are about to be appended to a shard. */
  readonly register: Registrar['register']
  readonly #today: RegisteredToday
  #warnedAt = Number.NEGATIVE_INFINITY
  /** Keys that the limit has left unknown since the last warning. */
  #leftOut = 0

  constructor(private readonly options: RegistrationOptions) {
    const { writer, control, perDay } = options
    this.perDay = perDay
    this.register = new Registrar({
      ...{ writer, perDay },
      onLimit: (keys) => this.noteLimit(keys),
    }).register
    this.#today = new RegisteredToday(control)
  }

  /** Returns the number of keys that all instances have registered since midnight UTC. */
  readonly readToday = async (): Promise<number> => (await this.#today.read()).keys

  /** Notes keys that the limit leaves unknown. Logs a warning at once, and then every hour. */
  noteLimit(keys: number): void {
    const { perDay, logger, onLimit } = this.options
    onLimit(keys)
    this.#leftOut += keys
    const now = performance.now()
    if (now - this.#warnedAt < REPEAT_MS) return
    this.#warnedAt = now
    logger.warn({ keys: this.#leftOut, perDay }, WARNING)
    this.#leftOut = 0
  }
}
