import type { AccountKind } from '../events/accounts.ts'
import type { ApiKeyFlush } from '../events/api-key-flush.ts'
import { type Details, OTHER, type Values } from '../events/details.ts'
import type { AttributedFlush } from '../events/flush.ts'
import type { KeyFlush } from '../events/key-flush.ts'
import type { Combination, KnownDay } from './known.ts'
import type { Questions } from './questions.ts'

/** How a flush is counted. */
type Counting = {
  /** For each combination as posted; undefined if only entries that count nothing have it. */
  combinations: readonly (Combination | undefined)[]
  /** Entries all of whose values are OTHER, by index, in order. */
  refused: readonly number[]
}

/**
 * Returns how a flush is counted, or null if that isn't known: then it adds what has to be asked
 * to `questions`. Entries for unknown keys count nothing, and are not looked at.
 */
export function countFlush(
  known: KnownDay,
  { type, data }: AttributedFlush,
  questions: Questions,
): Details | null {
  const details = data.details!
  const of = known.combinationsOf(details.dimensions)
  const combinations = details.combinations.map((values) => of.find(values))
  if (type === 'ApiKeyStatsFlushed' && isEachAccepted(known, data, combinations)) {
    return recount(details, { combinations, refused: [] })
  }
  const reader = new EntryReader(known, details, combinations, questions)
  if (type === 'ApiKeyStatsFlushed') readApiKeys(reader, data)
  else readKeys(reader, data)
  return reader.isOpen ? null : recount(details, reader)
}

/**
 * True if all entries are known to be accepted, as those of almost all flushes are. Reading them
 * one by one takes twice as long. False if a combination needs no place.
 */
function isEachAccepted(
  known: KnownDay,
  { groups, counts, ids, details }: ApiKeyFlush,
  combinations: readonly (Combination | undefined)[],
): boolean {
  const numbers: number[] = []
  for (const combination of combinations) {
    if (combination === undefined || combination.isFree) return false
    numbers.push(combination.number)
  }
  const seconds = { numbers, of: details!.combination }
  const ofGroups = known.acceptedBy('provider_group')
  const ofKeys = known.acceptedBy('api_key')
  let start = 0
  for (let run = 0; run < groups.length; run++) {
    const group = groups[run]!
    const end = start + counts[run]!
    // Group 0 is none. Entries without a group name unknown keys, which count nothing.
    if (group !== null && group !== 0 && !ofGroups.hasAll(group, seconds, start, end)) return false
    if (group !== null && !ofKeys.hasAll(ids, seconds, start, end)) return false
    start = end
  }
  return true
}

function readApiKeys(reader: EntryReader, { groups, counts, ids }: ApiKeyFlush): void {
  let i = 0
  for (const [run, group] of groups.entries()) {
    const end = i + counts[run]!
    if (group === null) i = end
    for (; i < end; i++) reader.readApiKey(i, ids[i]!, group!)
  }
}

function readKeys(reader: EntryReader, { hashes, quota_tracked }: KeyFlush): void {
  for (let i = 0; i < hashes.length; i++) {
    if (quota_tracked[i] !== null) reader.readKey(i, hashes[i]!)
  }
}

/** Looks up the combinations of a flush's entries. */
class EntryReader implements Counting {
  isOpen = false
  readonly refused: number[] = []

  constructor(
    private readonly known: KnownDay,
    private readonly details: Details,
    readonly combinations: readonly (Combination | undefined)[],
    private readonly questions: Questions,
  ) {}

  /** Reads an entry of an API key and its group, which is 0 if it has none. */
  readApiKey(i: number, id: number, group: number): void {
    const { known } = this
    const combination = this.#combinationOf(i)
    if (combination === undefined || combination.isFree) return
    const ofKey = known.isAcceptedBy(combination, 'api_key', id)
    const ofGroup = group === 0 || known.isAcceptedBy(combination, 'provider_group', group)
    if (ofKey === true && ofGroup === true) return
    if (ofKey === false || ofGroup === false) {
      this.refused.push(i)
      return
    }
    this.isOpen = true
    this.questions.ask(combination.hash, [
      this.#scopeOf(combination, 'api_key', id),
      ...(group === 0 ? [] : [this.#scopeOf(combination, 'provider_group', group)]),
    ])
  }

  /** Reads an entry of a token key. */
  readKey(i: number, hash: string): void {
    const combination = this.#combinationOf(i)
    if (combination === undefined || combination.isFree) return
    const isAccepted = this.known.isAcceptedBy(combination, 'key', hash)
    if (isAccepted === false) this.refused.push(i)
    if (isAccepted !== undefined) return
    this.isOpen = true
    this.questions.ask(combination.hash, [this.#scopeOf(combination, 'key', hash)])
  }

  /** Returns the combination of an entry; undefined if its values have to be asked first. */
  #combinationOf(i: number): Combination | undefined {
    const number = this.details.combination[i]!
    const combination = this.combinations[number]
    if (combination === undefined) this.#askValues(this.details.combinations[number]!)
    return combination
  }

  #askValues(values: Values): void {
    this.isOpen = true
    for (const [i, name] of this.details.dimensions.entries()) {
      const value = values[i] ?? null
      const known = this.known.valuesOf(name)
      if (value === null || known.isAccepted(value) !== undefined) continue
      // A full dimension says so with all its values.
      const note = (isAccepted: boolean) => {
        if (isAccepted) known.accept(value)
      }
      this.questions.ask(value, [{ kind: 'dimension', name, note }])
    }
  }

  #scopeOf(combination: Combination, kind: AccountKind, account: number | string) {
    const note = (isAccepted: boolean) => this.known.note(combination, kind, account, isAccepted)
    return { kind, name: String(account), note }
  }
}

/**
 * Returns details with what is counted. One combination of `details` may then be there twice, as
 * some accounts accept it and others don't.
 */
function recount(details: Details, { combinations, refused }: Counting): Details {
  const posted = details.combinations
  if (refused.length === 0) {
    // OTHER can't be posted.
    const isAsPosted = !combinations.some((one) => one?.hasOther)
    const isKnown = !combinations.includes(undefined)
    const texts = isKnown ? { texts: combinations.map((one) => one!.text) } : {}
    if (isAsPosted && details.counted === posted) return Object.assign(details, texts)
    const { texts: _, ...others } = details
    const counted = posted.map((values, i) => combinations[i]?.values ?? values)
    return { ...others, counted: isAsPosted ? posted : counted, ...texts }
  }
  const { texts: _, ...others } = details
  const isRefused = new Set(refused)
  const numbers = new Map<number, number>()
  const made: { posted: Values[]; counted: Values[] } = { posted: [], counted: [] }
  const combination = details.combination.map((number, i) => {
    const key = isRefused.has(i) ? -1 - number : number
    const known = numbers.get(key)
    if (known !== undefined) return known
    const values = posted[number]!
    made.posted.push(values)
    made.counted.push(
      isRefused.has(i)
        ? values.map((value) => (value === null ? null : OTHER))
        : (combinations[number]?.values ?? values),
    )
    numbers.set(key, numbers.size)
    return numbers.size - 1
  })
  return { ...others, combinations: made.posted, counted: made.counted, combination }
}
