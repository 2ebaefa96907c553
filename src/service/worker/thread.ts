import type { Logger } from 'pino'
import type { Adopted } from '../../bookkeeping/adoption/adoptions.ts'
import type { KeysToAdopt } from '../../bookkeeping/adoption/decide.ts'
import type { ActProjector } from '../../bookkeeping/newest-act.ts'
import type { ActRefusal, PostedAct, RecordedAct } from '../../bookkeeping/posted-act.ts'
import { PayloadError } from '../../events/columns.ts'
import { UnknownEvent } from '../../events/event.ts'
import type { ActFault } from '../../http/bookkeeping/model.ts'
import type { ActOutcome, ActRequest } from '../../http/bookkeeping/record.ts'
import type { PutOutcome } from '../../http/catalog/put.ts'
import type { LargeFlush } from '../../http/flushes/index.ts'
import type { Refusal } from '../../http/flushes/refusal.ts'
import type { AdoptionOutcome } from '../../http/unknown-keys/put.ts'
import type { AppendOutcome } from '../../log/queue.ts'
import type { EventPlace } from '../../log/visit.ts'
import { withinOr } from '../../platform/async/deadline.ts'
import { nextTurn } from '../../platform/async/turns.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import { EMBEDDED } from '../../platform/shipped/embedded.ts'
import type { Content } from '../../read-model/projections/entry.ts'
import {
  type Jobs,
  receiveError,
  type Unfit,
  type WorkerAnswer,
  type WorkerNotice,
  type WorkerRequest,
  type WorkerSettings,
} from './messages.ts'

/** The worker ended during a request, whose outcome is unknown. */
class WorkerEnded extends TemporarilyUnavailable {
  override name = 'WorkerEnded'

  constructor() {
    super('worker ended')
  }
}

type Pending = { resolve: (value: unknown) => void; reject: (error: Error) => void }

export type WorkerOptions = WorkerSettings & {
  /**
   * Called when the worker has appended events, and when the database refuses or accepts flushes.
   */
  onAppended: (shard: number, firstPosition: number, events: number) => void
  onRefused: (shard: number, error: unknown) => void
  onTaken: (shard: number) => void
  /** Called with the number of keys that a batch names and that the limit leaves unknown. */
  onLimit: (keys: number) => void
  /** Called with the number of values of appended flushes that are counted as `other`. */
  onOthers: (values: number) => void
  /** Reflects the log for acts that the worker records. */
  projector: Pick<ActProjector, 'reach' | 'noticeLoss'>
  logger: Logger
}

/**
 * The service's handle on the worker, which starts with the first request. If it ends by itself,
 * pending requests fail as unavailable, and the next request starts another.
 */
export class WorkerThread {
  #worker: Worker | null = null
  #isStopping = false
  #isEnded = false
  #lastId = 0
  readonly #pending = new Map<number, Pending>()
  readonly #appends = new Set<Promise<unknown>>()

  constructor(private readonly options: WorkerOptions) {}

  /** Number of flushes handed to the worker and not settled yet. */
  get queueLength(): number {
    return this.#appends.size
  }

  /** Parses and appends a large flush. Its body is transferred to the worker. */
  async append(flush: LargeFlush): Promise<AppendOutcome | Refusal> {
    if (this.#isStopping) return { kind: 'unavailable', reason: 'stopping' }
    const appending = this.#request('append', [flush], [flush.body.buffer as ArrayBuffer])
    this.#appends.add(appending)
    try {
      return await appending
    } catch (error) {
      if (error instanceof WorkerEnded) return { kind: 'unavailable', reason: 'worker ended' }
      throw error
    } finally {
      this.#appends.delete(appending)
    }
  }

  /**
   * Parses and appends a large change of the catalog. Its body is transferred to the worker. Throws
   * TemporarilyUnavailable if the service stops, or if the worker ends: then the change may have
   * been appended.
   */
  async changeCatalog(body: Uint8Array, source: string): Promise<PutOutcome> {
    if (this.#isStopping) throw new TemporarilyUnavailable('stopping')
    return this.#request('changeCatalog', [body, source], [body.buffer as ArrayBuffer])
  }

  /**
   * Records an act with a large body, which is transferred to the worker. Throws
   * TemporarilyUnavailable as `changeCatalog` does; so do the next three.
   */
  async recordBody(act: ActRequest, body: Uint8Array): Promise<ActOutcome | ActFault> {
    if (this.#isStopping) throw new TemporarilyUnavailable('stopping')
    return this.#request('recordBody', [act, body], [body.buffer as ArrayBuffer])
  }

  /** Records an act that takes a large event. */
  async record(
    posted: PostedAct,
    source: string,
    idempotencyKey: string | null,
  ): Promise<RecordedAct | ActRefusal> {
    if (this.#isStopping) throw new TemporarilyUnavailable('stopping')
    return this.#request('record', [posted, source, idempotencyKey])
  }

  /** Adds the keys of a large body to the catalog, and adopts them. */
  async adoptBody(body: Uint8Array, source: string): Promise<AdoptionOutcome> {
    if (this.#isStopping) throw new TemporarilyUnavailable('stopping')
    return this.#request('adoptBody', [body, source], [body.buffer as ArrayBuffer])
  }

  /** Adopts keys of the catalog. */
  async adopt(keys: KeysToAdopt, source: string): Promise<Adopted | 'too large' | null> {
    if (this.#isStopping) throw new TemporarilyUnavailable('stopping')
    return this.#request('adopt', [keys, source])
  }

  /** Reads a large event in parts that add up to it. Throws PayloadError if it can't be folded. */
  async *readParts(place: EventPlace): AsyncGenerator<Content> {
    const open = throwUnfit(await this.#request('openEvent', [place]))
    // Requested ahead, because each request waits behind the work that the worker has.
    const request = () => {
      const part = this.#request('nextPart', [open])
      part.catch(() => {})
      return part
    }
    try {
      for (let [next, after] = [request(), request()]; ; [next, after] = [after, request()]) {
        const part = await next
        if (part === null) return
        yield part
        // The next part may be here by now. Without a turn between them, connections wait for all.
        await nextTurn()
      }
    } finally {
      void this.#request('closeEvent', [open]).catch(() => {})
    }
  }

  /** Rejects further requests, stops reading the log, and waits for the accepted flushes. */
  async stop(): Promise<void> {
    this.#isStopping = true
    if (this.#worker !== null) void this.#request('stopReading', []).catch(() => {})
    await Promise.allSettled(this.#appends)
  }

  /** Ends the worker: lets it finish for up to `timeoutMs`, then terminates it. */
  async end(timeoutMs: number): Promise<void> {
    this.#isStopping = true
    if (this.#worker === null) return
    await withinOr(
      timeoutMs,
      this.#request('stop', []).catch(() => {}),
      undefined,
    )
    this.#isEnded = true
    await this.#worker?.terminate()
    this.#rejectPending(this.#worker)
  }

  #request<Job extends keyof Jobs>(
    job: Job,
    args: Parameters<Jobs[Job]>,
    transfer: ArrayBuffer[] = [],
  ): ReturnType<Jobs[Job]> {
    if (this.#isEnded) return Promise.reject(new WorkerEnded()) as ReturnType<Jobs[Job]>
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const id = ++this.#lastId
    this.#worker ??= this.#start()
    this.#pending.set(id, { resolve, reject })
    this.#worker.postMessage({ id, job, args } as WorkerRequest, transfer)
    return promise as ReturnType<Jobs[Job]>
  }

  #start(): Worker {
    const { address, shards, intervals, registerPerDay, countedAtDays, logger } = this.options
    const { dimensionValues } = this.options
    const worker = new Worker(EMBEDDED?.worker ?? new URL('./entry.ts', import.meta.url).href)
    worker.onmessage = ({ data }: MessageEvent<WorkerNotice | WorkerAnswer>) => {
      if ('notice' in data) this.#receive(worker, data)
      else this.#settle(data)
    }
    worker.onerror = (event) => {
      logger.error(
        { reason: event.message },
        'worker: failed; the next large request starts a new one',
      )
      worker.terminate()
    }
    worker.addEventListener('close', () => this.#rejectPending(worker))
    const settings: WorkerSettings = {
      ...{ address, shards, intervals, registerPerDay, dimensionValues },
      ...(countedAtDays !== undefined && { countedAtDays }),
    }
    worker.postMessage(settings)
    return worker
  }

  #receive(worker: Worker, message: WorkerNotice): void {
    const { onAppended, onRefused, onTaken, onLimit, onOthers, projector } = this.options
    switch (message.notice) {
      case 'taken':
        onTaken(message.shard)
        break
      case 'limited':
        onLimit(message.keys)
        break
      case 'others':
        onOthers(message.values)
        break
      case 'refused':
        onRefused(message.shard, receiveError(message.error))
        break
      case 'appended':
        onAppended(message.shard, message.firstPosition, message.events)
        break
      case 'awaiting':
        void this.#awaitProjections(worker, message)
        break
      case 'lost':
        projector.noticeLoss(message.reflected)
        break
      default:
        message satisfies never
    }
  }

  async #awaitProjections(
    worker: Worker,
    { id, positions, timeoutMs }: Extract<WorkerNotice, { notice: 'awaiting' }>,
  ): Promise<void> {
    const isReached = await this.options.projector.reach(positions, timeoutMs)
    if (this.#worker === worker) await this.#request('reached', [id, isReached]).catch(() => {})
  }

  #settle(answer: WorkerAnswer): void {
    const { resolve, reject } = this.#pending.get(answer.id) ?? {}
    this.#pending.delete(answer.id)
    if ('error' in answer) reject?.(receiveError(answer.error))
    else resolve?.(answer.value)
  }

  /** Rejects the pending requests of a worker that has ended. */
  #rejectPending(worker: Worker | null): void {
    if (this.#worker !== worker) return
    this.#worker = null
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of pending) reject(new WorkerEnded())
  }
}

/** Throws a PayloadError if an event can't be folded. */
function throwUnfit<Value extends object | number>(value: Value | Unfit): Value {
  if (typeof value !== 'object' || !('unfit' in value)) return value as Value
  throw value.isUnknown ? new UnknownEvent(value.unfit) : new PayloadError(value.unfit)
}
