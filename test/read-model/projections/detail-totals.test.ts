import { expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  ALL_GROUPS,
  createAllParts,
  type DetailTotal,
  type Measures,
  MeasureTotals,
  PartTotals,
} from '../../../src/read-model/projections/detail-totals.ts'

// Sums of measures, by account and by combination, equal naive ones, however large they become.

const amount = fc.oneof(
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom(0, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER),
)
const account = fc.oneof(
  { arbitrary: fc.integer({ min: 1, max: 30 }), weight: 9 },
  fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 32 + 1),
)
const pair = fc.tuple(amount, amount)
const row = fc.record({ account, combination: fc.nat(2), sums: pair, measures: pair })
const event = fc.record({
  /** The account of all rows, or null if each has its own. */
  account: fc.option(account),
  numbers: fc.constantFrom([0, 1], [1, 0], [2, 255], [40]),
  combinations: fc.constantFrom(['{}', 'a', 'b'], ['b', 'a', 'c']),
  rows: fc.array(row),
})
type Event = typeof event extends fc.Arbitrary<infer Value> ? Value : never

/** The rows of an event as postings, between two rows that do not count. */
function toPostings({ account, numbers, combinations, rows }: Event) {
  const column = (read: (one: Event['rows'][number]) => number) => [0, ...rows.map(read), 0]
  const measures = numbers.map((number, k) => ({
    ...{ number, values: column((one) => one.measures[k]!) },
  }))
  return {
    kind: 'provider_group' as const,
    accounts: account ?? column((one) => one.account),
    sums: [column(({ sums }) => sums[0]), column(({ sums }) => sums[1])],
    ...{ maxima: [], start: 1, end: rows.length + 1 },
    details: { combinations, combination: column((one) => one.combination), measures },
  }
}

/** Sums of columns, and of measures by number, as bigints. */
class NaiveSums {
  readonly all = new Map<string, { sums: bigint[]; measures: bigint[] }>()

  add(key: string, sums: readonly number[], measures: readonly (readonly [number, number])[]) {
    const total = this.all.get(key) ?? { sums: sums.map(() => 0n), measures: [] }
    this.all.set(key, total)
    for (const [k, value] of sums.entries()) total.sums[k]! += BigInt(value)
    for (const [number, value] of measures) {
      while (total.measures.length <= number) total.measures.push(0n)
      total.measures[number]! += BigInt(value)
    }
  }
}

const toNaive = ({ sums, measures }: Pick<DetailTotal, 'sums' | 'measures'>) => ({
  ...{ sums: sums.map(BigInt), measures: measures.map(BigInt) },
})
const partsOf = (totals: PartTotals) =>
  new Map<string, ReturnType<typeof toNaive>>(
    [...totals.entries()].map(
      (one) => [`${one.combination} ${one.account}`, toNaive(one)] as const,
    ),
  )

test('totals of any events are exact, by account and by combination', () => {
  const property = fc.property(fc.array(event), (events) => {
    const measures = new MeasureTotals()
    const parts = new PartTotals()
    const ofOne = new PartTotals(7)
    const ofAll = new PartTotals(ALL_GROUPS)
    const byAccount = new NaiveSums()
    const byPart = new NaiveSums()
    for (const one of events) {
      for (const totals of [measures, parts, ofOne, ofAll]) totals.add(toPostings(one))
      for (const { sums, combination, ...row } of one.rows) {
        const account = one.account ?? row.account
        const counted = one.numbers
          .map((number, k) => [number, row.measures[k]!] as const)
          .filter(([, value]) => value !== 0)
        if (counted.length > 0) byAccount.add(`${account}`, [], counted)
        if (counted.length === 0 && sums.every((value) => value === 0)) continue
        for (const of of [account, ALL_GROUPS]) {
          byPart.add(`${one.combinations[combination]} ${of}`, sums, counted)
        }
      }
    }
    const read = Array.from(measures.entries(), ([account, some]) => {
      return [`${account}`, toNaive({ sums: [], measures: some })] as const
    })
    expect(new Map(read)).toEqual(byAccount.all)
    expect(partsOf(parts)).toEqual(byPart.all)
    const only = (account: number) =>
      new Map([...byPart.all].filter(([key]) => key.endsWith(` ${account}`)))
    expect(partsOf(ofOne)).toEqual(only(7))
    expect(partsOf(ofAll)).toEqual(only(ALL_GROUPS))
  })
  fc.assert(property, { numRuns: 300 })
})

test('totals of an event with more entries than are laid out at once are exact', () => {
  const rows = Array.from({ length: 10_000 }, (_, i) => ({
    ...{ account: 1 + (i % 3), combination: i % 2 },
    sums: [i, 1] as [number, number],
    measures: [i % 5 === 0 ? 0 : i, 2] as [number, number],
  }))
  const one: Event = {
    ...{ account: null, numbers: [0, 1], combinations: ['{}', 'a', 'b'] },
    rows,
  }
  const whole = { measures: new MeasureTotals(), parts: new PartTotals(), group: new PartTotals() }
  const each = { measures: new MeasureTotals(), parts: new PartTotals(), group: new PartTotals() }
  const ofGroup = { ...toPostings(one), accounts: 9 }
  whole.measures.add(toPostings(one))
  whole.parts.add(toPostings(one))
  whole.group.add(ofGroup)
  for (let i = 1; i <= rows.length; i++) {
    each.measures.add({ ...toPostings({ ...one, rows: [rows[i - 1]!] }), start: 1, end: 2 })
    each.parts.add({ ...toPostings({ ...one, rows: [rows[i - 1]!] }), start: 1, end: 2 })
    each.group.add({ ...ofGroup, start: i, end: i + 1 })
  }
  expect([...whole.measures.entries()]).toEqual([...each.measures.entries()])
  expect([...whole.parts.entries()]).toEqual([...each.parts.entries()])
  expect([...whole.group.entries()]).toEqual([...each.group.entries()])
})

test('totals of accounts with texts are those of accounts with ids', () => {
  const property = fc.property(fc.array(event), (events) => {
    const totals = {
      ids: [new MeasureTotals(), new PartTotals()] as const,
      texts: [new MeasureTotals(), new PartTotals(), new PartTotals('key 7')] as const,
    }
    for (const one of events) {
      const postings = { ...toPostings(one), kind: 'api_key' as const }
      const { accounts } = postings
      const name = (id: number) => `key ${id}`
      const texts = typeof accounts === 'object' ? accounts.map(name) : name(accounts)
      for (const of of totals.ids) of.add(postings)
      for (const of of totals.texts) of.add({ ...postings, kind: 'key', accounts: texts })
    }
    const [measures, parts, ofOne] = totals.texts
    const renamed = [...totals.ids[0].entries()].map(([id, some]) => [`key ${id}`, some])
    expect([...measures.entries()]).toEqual(renamed as [string, Measures][])
    const all = [...totals.ids[1].entries()].map((one) => ({
      ...one,
      account: `key ${one.account}`,
    }))
    expect([...parts.entries()]).toEqual(all)
    expect([...ofOne.entries()]).toEqual(all.filter(({ account }) => account === 'key 7'))
  })
  fc.assert(property, { numRuns: 200 })
})

test('parts of accounts of all kinds are those of accounts of each kind alone', () => {
  const kinds = ['api_key', 'provider_group'] as const
  const property = fc.property(fc.array(fc.tuple(event, fc.nat(1))), (events) => {
    const all = createAllParts()
    const alone = { api_key: new PartTotals(), provider_group: new PartTotals() }
    for (const [one, k] of events) {
      const postings = { ...toPostings(one), kind: kinds[k]! }
      all[postings.kind].add(postings)
      alone[postings.kind].add(postings)
    }
    for (const kind of kinds) expect(partsOf(all[kind])).toEqual(partsOf(alone[kind]))
    expect(partsOf(all.key)).toEqual(new Map())
  })
  fc.assert(property, { numRuns: 200 })
})
