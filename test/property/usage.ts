import { expect } from 'bun:test'
import type { TestService } from '../support/service.ts'
import type { Effect } from './books.ts'
import { addMeasures } from './details.ts'
import { get } from './exact.ts'

const QUARTER_MS = 900_000
const HOUR_MS = 4 * QUARTER_MS
const DAY_MS = 24 * HOUR_MS

type Item = Record<string, bigint> & { measures?: Record<string, bigint> }

/** Returns measures that are not 0, by name. */
const measuresOf = (measures: [string, bigint][]) =>
  Object.fromEntries(measures.filter(([, value]) => value !== 0n))

const PARAMETERS = { groups: 'group_id', apiKeys: 'api_key_id', keys: 'token_hash' }

/** What was counted in which quarter hour, by the words of the contract. */
export class NaiveUsage {
  readonly #postings: (Effect & { quarter: number })[] = []
  /** False once a flush may have been recorded in one of two quarter hours. */
  #isKnown = true

  /** Adds effects to a quarter hour, by its number; negative ones take something back. */
  note(effects: readonly Effect[], quarter: number): void {
    for (const effect of effects) this.#postings.push({ ...effect, quarter })
  }

  /** Posts something that counts when it is recorded. */
  async watch<Value>(post: () => Promise<Value>): Promise<Value> {
    const quarter = Math.floor(Date.now() / QUARTER_MS)
    const answer = await post()
    if (Math.floor(Date.now() / QUARTER_MS) !== quarter) this.#isKnown = false
    return answer
  }

  /** Compares usage of an account of each kind by hour, and of another one by day. */
  async compare(service: TestService): Promise<void> {
    if (!this.#isKnown) return
    for (const kind of ['groups', 'apiKeys', 'keys'] as const) {
      const ids = new Set(this.#postings.flatMap((one) => (one.kind === kind ? one.id : [])))
      const [first, second = first] = ids
      if (first === undefined) continue
      await this.#compareAccount(service, { kind, id: first }, 'hour', 36)
      await this.#compareAccount(service, { kind, id: second! }, 'day', 37)
    }
  }

  /** Compares the hours or days until the next one but one. */
  async #compareAccount(
    service: TestService,
    { kind, id }: Pick<Effect, 'kind' | 'id'>,
    bucket: 'hour' | 'day',
    buckets: number,
  ): Promise<void> {
    const lengthMs = bucket === 'hour' ? HOUR_MS : DAY_MS
    const endMs = (Math.floor(Date.now() / lengthMs) + 2) * lengthMs
    const fromMs = endMs - buckets * lengthMs
    const [from, to] = [fromMs, endMs].map((at) => new Date(at).toISOString())
    const query = new URLSearchParams({ from: from!, to: to!, bucket, [PARAMETERS[kind]]: `${id}` })
    const { body } = await get(service, `/admin/usage?${query}`)
    const shown = (body as { items: Item[] }).items.map((item) => [
      kind === 'keys'
        ? [item.request_count, item.used_tokens, item.quota_used]
        : [item.total_requests, item.success_requests],
      measuresOf(Object.entries(item.measures ?? {})),
    ])
    const expected = Array.from({ length: buckets }, (_, i) => {
      const sums = kind === 'keys' ? [0n, 0n, 0n] : [0n, 0n]
      const measures = new Map<string, bigint>()
      for (const posting of this.#postings) {
        const at = Math.floor((posting.quarter * QUARTER_MS - fromMs) / lengthMs)
        if (posting.kind !== kind || posting.id !== id || at !== i) continue
        for (const [k, sum] of posting.sums.entries()) sums[k]! += sum
        addMeasures(measures, posting.measures ?? new Map())
      }
      return [sums, measuresOf([...measures])]
    })
    expect({ kind, id, bucket, from, shown }).toEqual({ kind, id, bucket, from, shown: expected })
  }
}
