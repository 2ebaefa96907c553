import type { ActProjector } from '../../bookkeeping/newest-act.ts'
import type { Positions } from '../../events/positions.ts'
import { readHeads } from '../../log/read.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import type { WorkerNotice } from './messages.ts'

/** The projector of the main thread, as the worker's acts use it. */
export class RemoteProjector implements ActProjector {
  #lastId = 0
  readonly #pending = new Map<number, (isReached: boolean) => void>()

  constructor(
    private readonly sql: Sql,
    private readonly notify: (notice: WorkerNotice) => void,
  ) {}

  readHeads(): Promise<Positions> {
    return readHeads(this.sql)
  }

  reach(positions: Positions, timeoutMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const id = ++this.#lastId
    this.#pending.set(id, resolve)
    this.notify({ notice: 'awaiting', id, positions, timeoutMs })
    return promise
  }

  noticeLoss(reflected: Positions): void {
    this.notify({ notice: 'lost', reflected })
  }

  /** Settles what `reach` has returned, when the main thread answers. */
  settle(id: number, isReached: boolean): void {
    this.#pending.get(id)?.(isReached)
    this.#pending.delete(id)
  }
}
