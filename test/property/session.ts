import { expect } from 'bun:test'
import type { TestService } from '../support/service.ts'
import { takeAct } from './act.ts'
import { adopt, compareUnknown, isNameIn } from './adoptions.ts'
import type { ActStep } from './books.ts'
import { changeFlush } from './changed-entries.ts'
import { retireDeclared } from './declared.ts'
import { nameDetails } from './details.ts'
import {
  type Answer,
  errorOnly,
  get,
  type ListName,
  NOTHING,
  toAnswer,
  toExpected,
} from './exact.ts'
import { Model } from './model.ts'
import {
  apiKeyRowsOf,
  type ExactRow,
  groupRowsOf,
  keyRowsOf,
  rated,
  summaryOf,
} from './model-reads.ts'
import { type Kind, PATHS } from './naive-body.ts'
import type { CatalogPut } from './naive-catalog.ts'
import { resetQuota } from './quota-reset.ts'
import { Range } from './range.ts'
import { SLOTS } from './slots.ts'
import { NaiveSource, type PlannedSequence } from './sources.ts'
import type { Step } from './steps.ts'

type RatedBody = { total_requests: bigint; success_requests: bigint }
type Keyed = { kind: Kind; text: string; idempotencyKey: string }

/**
 * One history on a service that earlier histories used: takes each step there and in its own model,
 * and compares every answer.
 */
export class Session {
  readonly #model: Model
  readonly #range: Range
  readonly #source: NaiveSource
  readonly #keyed: Keyed[] = []
  #keys = 0

  private constructor(
    private readonly service: TestService,
    range: Range,
    /** Position of each shard's last event. */
    private readonly heads: number[],
    /** The totals of earlier runs. */
    private readonly before: { requests: bigint; successes: bigint },
  ) {
    this.#range = range
    this.#model = new Model(range.base)
    this.#source = new NaiveSource(`history-${range.base}`)
  }

  static async begin(service: TestService, run: number): Promise<Session> {
    const range = new Range(run)
    // Rows that only external ids name get ids of this run.
    const rows = [{ id: range.base }]
    const put = await service.putCatalog({ provider_groups: rows, api_keys: rows })
    expect(put.status).toBe(200)
    const { body, positions } = await get(service, '/admin/apikey-stats/summary')
    const heads = positions!.split(',').map((part) => Number(part.split('/')[1]))
    const { total_requests: requests, success_requests: successes } = body as RatedBody
    const session = new Session(service, range, heads, { requests, successes })
    await session.#model.declared.begin(service)
    await session.#source.begin(service)
    return session
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'put':
        return this.#put(step)
      case 'adopt':
        return this.#adopt(this.#range.moveCatalog(step.catalog))
      case 'end':
        return this.#end(step)
      case 'flush': {
        const entries = nameDetails(step.entries, this.#model.declared)
        const text = this.#range.moveFlush(entries, step.ageS)
        const idempotencyKey = this.#newKey(step.idempotencyKey)
        if (idempotencyKey !== null) this.#keyed.push({ kind: step.kind, text, idempotencyKey })
        return this.#flush(step.kind, text, idempotencyKey, step.sequence)
      }
      case 'retry':
        return this.#retry(step)
      case 'refused':
        return this.#flush(step.kind, step.text, this.#newKey(step.idempotencyKey))
      case 'read':
        return this.#read(step)
      case 'open':
      case 'offset':
      case 'adjust':
      case 'reverse':
        return this.#act(step)
      case 'retire':
        return retireDeclared(this.service, this.#model.declared, step, (at) => this.#appended(at))
      case 'reset':
        return resetQuota(this.service, this.#model.books, this.#range.hash(step.slot), (at) =>
          this.#appended(at),
        )
    }
  }

  /** Continues on a resharded log, with its heads and the new position of each event. */
  moveOn(heads: number[], moved: (place: string) => string): void {
    this.heads.splice(0, this.heads.length, ...heads)
    for (const flush of this.#model.remembered.values()) flush.at = moved(flush.at!)
    for (const counted of this.#model.books.counted) counted.at = moved(counted.at)
  }

  /** Compares all totals of this run with the model's. */
  async compareTotals(): Promise<void> {
    for (const list of ['provider-groups', 'api-keys', 'keys'] as const) {
      await this.#compareList(list, true)
    }
    await this.#compareSummary()
    await this.#compareUnknown('api-keys')
    await this.#compareUnknown('keys')
    await this.#compareDeclared(true)
    await this.#model.usage.compare(this.service)
    await this.#source.compare(this.service)
  }

  async #adopt(keys: CatalogPut): Promise<void> {
    for (const at of await adopt(this.service, this.#model, keys, this.heads[0]!)) {
      this.#appended(at)
    }
  }

  async #compareUnknown(kind: Kind): Promise<void> {
    const isOwn = isNameIn(this.#range)
    await compareUnknown(this.service, this.#model, kind, isOwn, this.#reflecting())
  }

  async #compareDeclared(ended: boolean): Promise<void> {
    for (const kind of ['dimensions', 'measures'] as const) {
      await this.#model.declared.compare(this.service, kind, ended, this.#reflecting())
    }
  }

  async #put({ catalog }: Step & { do: 'put' }): Promise<void> {
    const moved = this.#range.moveCatalog(catalog)
    const answer = await toAnswer(await this.service.putCatalog(moved))
    const body = this.#model.putCatalog(moved)
    if (typeof body === 'string') {
      expect(errorOnly(answer)).toEqual({ ...NOTHING, status: 409, body })
      return
    }
    const positions = this.#appended(`0/${this.heads[0]! + 1}`)
    expect(answer).toEqual({ status: 200, body, positions, replayed: false })
  }

  async #end({ list, slot, byName }: Step & { do: 'end' }): Promise<void> {
    const { path, end } = this.#rowOf(list, slot, byName)
    const response = await this.service.fetch('admin', path, { method: 'DELETE' })
    const answer = await toAnswer(response)
    if (!end()) {
      expect<Answer>({ ...answer, body: null }).toEqual({ ...NOTHING, status: 404 })
      return
    }
    const positions = this.#appended(`0/${this.heads[0]! + 1}`)
    expect(answer).toEqual({ ...NOTHING, status: 204, positions })
  }

  /** Finds the row of a slot, or with `byName` the one that has the slot's external id. */
  #rowOf(list: ListName, slot: number, byName: boolean) {
    const { groups, apiKeys, keys } = this.#model
    const name = this.#range.externalId(`x${slot}`)
    const named = [...(list === 'api-keys' ? apiKeys : groups)].find(
      ([, { external_id }]) => external_id === name,
    )
    const id = byName ? (named?.[0] ?? 0) : this.#range.id(slot)
    const hash = this.#range.hash(slot)
    const row = {
      'provider-groups': groups.get(id),
      'api-keys': apiKeys.get(id),
      keys: keys.get(hash),
    }
    const text = list === 'keys' ? hash : String(id)
    const address = byName && list !== 'keys' ? `ext:${encodeURIComponent(name)}` : text
    return {
      id: text,
      path: `/admin/${list}/${address}`,
      end: () => this.#model.end(row[list]),
    }
  }

  async #retry(step: Step & { do: 'retry' }): Promise<void> {
    const { nth, change } = step
    if (this.#keyed.length === 0) return
    const { kind, text, idempotencyKey } = this.#keyed[nth % this.#keyed.length]!
    const body = changeFlush(kind, text, step, this.#range)
    const other = kind === 'keys' ? 'api-keys' : 'keys'
    await this.#flush(change === 'other kind' ? other : kind, body, idempotencyKey)
  }

  async #flush(
    kind: Kind,
    text: string,
    idempotencyKey: string | null,
    planned: PlannedSequence | null = null,
  ): Promise<void> {
    const sequence = planned === null ? null : this.#source.headerOf(planned)
    const headers = {
      ...(idempotencyKey !== null && { 'idempotency-key': idempotencyKey }),
      ...(sequence !== null && { 'tallybook-sequence': sequence }),
    }
    const answer = await this.#model.usage.watch(async () =>
      toAnswer(await this.service.post(PATHS[kind], text, headers)),
    )
    const expected = this.#model.flush(kind, text, idempotencyKey)
    if (expected.status === 200 && !expected.replayed) {
      const at = this.#appended(answer.positions)
      expected.flush.at = at
      expected.flush.counted.at = at
      this.#source.note(expected.flush, sequence)
    }
    expect(errorOnly(answer)).toEqual(toExpected(expected))
  }

  async #act(step: ActStep): Promise<void> {
    const position = `0/${this.heads[0]! + 1}`
    const newKey = () => this.#newKey(true)!
    const options = { range: this.#range, position, newKey }
    const isAppended = await takeAct(this.service, this.#model.books, step, options)
    if (isAppended) this.#appended(position)
  }

  async #read(step: Step & { do: 'read' }): Promise<void> {
    const { what, list, ended } = step
    if (what === 'summary') return this.#compareSummary()
    if (what === 'declared') return this.#compareDeclared(ended)
    if (what === 'unknown') return this.#compareUnknown(list === 'keys' ? 'keys' : 'api-keys')
    if (what === 'list') return this.#compareList(list, ended)
    const { id, path } = this.#rowOf(list, step.slot, step.byName)
    const answer = await get(this.service, `${path}${ended ? '?ended=true' : ''}`)
    const row = this.#rows(list, ended).get(id)
    if (row === undefined) expect(answer.status).toBe(404)
    else expect(answer).toEqual({ ...this.#reflecting(), body: row })
  }

  /** Compares the rows of this run; newer runs have higher ids. */
  async #compareList(list: ListName, ended: boolean): Promise<void> {
    const own = this.#rows(list, ended)
    const id = list === 'keys' ? 'token_hash' : 'id'
    // One more than there can be, so that an extra row shows.
    const count = 2 * SLOTS + 1
    const query = `?sort=-${id}&limit=${count}${ended ? '&ended=true' : ''}`
    const { body, ...answer } = await get(this.service, `/admin/${list}${query}`)
    expect<Answer>({ ...answer, body: null }).toEqual(this.#reflecting())
    const { items } = body as { items: ExactRow[] }
    const isOwn = (row: ExactRow) =>
      list === 'keys'
        ? String(row.token_hash).startsWith(this.#range.hash(''))
        : Number(row.id) > this.#range.base
    const rows = items.filter(isOwn)
    expect(rows).toEqual([...own.values()].sort((a, b) => (a[id]! < b[id]! ? 1 : -1)))
  }

  async #compareSummary(): Promise<void> {
    const answer = await get(this.service, '/admin/apikey-stats/summary')
    const { total_requests, success_requests } = summaryOf(this.#model) as Record<string, bigint>
    const body = rated(
      this.before.requests + total_requests!,
      this.before.successes + success_requests!,
    )
    expect(answer).toEqual({ ...this.#reflecting(), body })
  }

  #rows(list: ListName, ended: boolean): Map<string, ExactRow> {
    const rows = { 'provider-groups': groupRowsOf, 'api-keys': apiKeyRowsOf, keys: keyRowsOf }[list]
    return new Map([...rows(this.#model)].filter(([, row]) => ended || !row.ended_at))
  }

  /** The answer to a read: it reflects all acknowledged events, as nothing else appends. */
  #reflecting(): Answer {
    const positions = this.heads.map((head, shard) => `${shard}/${head}`).join(',')
    return { ...NOTHING, positions }
  }

  /** Advances a head to an event's position; throws unless it is the next of its shard. */
  #appended(at: string | null): string {
    const [shard, position] = (at ?? 'none').split('/').map(Number)
    expect(position).toBe((this.heads[shard!] ?? Number.NaN) + 1)
    this.heads[shard!] = position!
    return at!
  }

  #newKey(isKeyed: boolean): string | null {
    return isKeyed ? this.#range.idempotencyKey(this.#keys++) : null
  }
}
