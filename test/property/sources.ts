import { expect } from 'bun:test'
import fc from 'fast-check'
import type { TestService } from '../support/service.ts'
import { get } from './exact.ts'
import type { Accepted } from './model.ts'
import type { Kind } from './naive-body.ts'

/** The numbers of a flush in a sequence: `first`, and `more` after it. */
export type PlannedSequence = { first: number; more: number; isLast: boolean }

/** Numbers that come late, twice, and not at all. */
export const plannedSequence: fc.Arbitrary<PlannedSequence | null> = fc.option(
  fc.record({
    first: fc.nat(12),
    more: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(3)),
    isLast: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()),
  }),
)

type Sums = { flushes: bigint; requests: bigint; others: bigint }
type Read = {
  api_keys: { flushes: bigint; requests: bigint; success_requests: bigint }
  keys: { flushes: bigint; requests: bigint; tokens: bigint }
  epochs: { epoch: string; next: bigint; missing: bigint[][]; ended: boolean }[]
}

const NOTHING: Sums = { flushes: 0n, requests: 0n, others: 0n }

/** What the source of a history has posted, in an epoch of its own, by the words of the contract. */
export class NaiveSource {
  #before: Record<Kind, Sums> = { 'api-keys': NOTHING, keys: NOTHING }
  readonly #posted: Record<Kind, Sums> = { 'api-keys': NOTHING, keys: NOTHING }
  readonly #arrived = new Set<number>()
  #isEnded = false

  constructor(private readonly epoch: string) {}

  /** Notes what earlier histories have posted. */
  async begin(service: TestService): Promise<void> {
    const { status, body } = await get(service, '/admin/sources/dp')
    if (status === 200) this.#before = sumsOf(body as Read)
  }

  /**
   * Returns the header of a flush. An epoch's first flush has the number 0: after many epochs the
   * service does not know what came before the first number that arrives.
   */
  headerOf({ first, more, isLast }: PlannedSequence): string {
    const from = this.#arrived.size === 0 ? 0 : first
    const range = more === 0 ? `${from}` : `${from}-${from + more}`
    return `${this.epoch}/${range}${isLast ? ';last' : ''}`
  }

  /** Notes a flush that was appended, with its header. */
  note({ kind, entries }: Accepted, header: string | null): void {
    const posted = { ...this.#posted[kind] }
    posted.flushes++
    for (const { numbers } of entries) {
      posted.requests += numbers[0]!
      posted.others += numbers[1]!
    }
    this.#posted[kind] = posted
    if (header === null) return
    const [range = '', last] = header.slice(this.epoch.length + 1).split(';')
    const [first, end = first] = range.split('-').map(Number)
    for (let number = first!; number <= end!; number++) this.#arrived.add(number)
    this.#isEnded = last !== undefined
  }

  async compare(service: TestService): Promise<void> {
    const { status, body } = await get(service, '/admin/sources/dp')
    if (status === 404) {
      expect(this.#posted).toEqual({ 'api-keys': NOTHING, keys: NOTHING })
      return
    }
    const read = body as Read
    const plus = (kind: Kind) => add(this.#before[kind], this.#posted[kind])
    expect(sumsOf(read)).toEqual({ 'api-keys': plus('api-keys'), keys: plus('keys') })
    const own = read.epochs.find(({ epoch }) => epoch === this.epoch)
    if (this.#arrived.size === 0) {
      expect(own).toBeUndefined()
      return
    }
    const next = Math.max(...this.#arrived) + 1
    const missing = Array.from({ length: next }, (_, i) => i).filter((i) => !this.#arrived.has(i))
    expect(own).toMatchObject({ next: BigInt(next), ended: this.#isEnded })
    expect(own!.missing.flatMap(([first, last]) => numbersOf(first!, last!))).toEqual(missing)
  }
}

const sumsOf = ({ api_keys, keys }: Read): Record<Kind, Sums> => ({
  'api-keys': {
    ...{ flushes: api_keys.flushes, requests: api_keys.requests },
    others: api_keys.success_requests,
  },
  keys: { flushes: keys.flushes, requests: keys.requests, others: keys.tokens },
})

const add = (a: Sums, b: Sums): Sums => ({
  flushes: a.flushes + b.flushes,
  requests: a.requests + b.requests,
  others: a.others + b.others,
})

const numbersOf = (first: bigint, last: bigint): number[] =>
  Array.from({ length: Number(last - first) + 1 }, (_, i) => Number(first) + i)
