// What the service would refuse. One such entry would spoil the whole flush that it is in.

export type Dimensions = Readonly<Record<string, string>>
export type Measures = Readonly<Record<string, number>>

/** Counts of an API key. What is absent is zero. */
export type ApiKeyCounts = {
  requests?: number
  /** At most `requests`. */
  successRequests?: number
  dimensions?: Dimensions
  measures?: Measures
}

/** Counts of an API key, and what a service that registers unknown keys calls it. */
export type ApiKeyRecord = ApiKeyCounts & {
  /** The id of the API key, or its external id. */
  key: number | string
  /** A display name. */
  name?: string
  /** The external id of its provider group. */
  group?: string
}

/** Counts of a token key. What is absent is zero. */
export type TokenCounts = {
  requests?: number
  tokens?: number
  /** Unix seconds. */
  lastAccessedAt?: number
  dimensions?: Dimensions
  measures?: Measures
}

const MAX_NAME_LENGTH = 255
const MAX_VALUE_LENGTH = 64
/** The end of the year 9999 in Unix seconds: the service refuses later times. */
const MAX_TIME = 253_402_300_799
const DECLARED_NAME = /^[a-z][a-z0-9_]{0,63}$/
// A NUL, or half of a surrogate pair.
const UNSTORABLE = /\0|\p{Surrogate}/u

const isCount = (value: unknown) =>
  value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)

export const isId = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) > 0

/** True for an external id or a hash that an account can have. */
export const isName = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length <= MAX_NAME_LENGTH &&
  value.trim() === value &&
  value !== '' &&
  !UNSTORABLE.test(value)

/** Texts that were found valid, because looking one up costs less than matching it. */
class Known {
  readonly #known = new Set<string>()

  readonly #isValid: (text: string) => boolean

  constructor(isValid: (text: string) => boolean) {
    this.#isValid = isValid
  }

  has(text: unknown): boolean {
    if (this.#known.has(text as string)) return true
    if (typeof text !== 'string' || !this.#isValid(text)) return false
    if (this.#known.size >= MAX_KNOWN) this.#known.clear()
    this.#known.add(text)
    return true
  }
}

const MAX_KNOWN = 10_000

const declaredNames = new Known((name) => DECLARED_NAME.test(name))

const dimensionValues = new Known(
  (value) =>
    value !== '' &&
    value !== 'other' &&
    value.length <= MAX_VALUE_LENGTH &&
    !UNSTORABLE.test(value),
)

function areDimensions(dimensions: Dimensions | undefined): boolean {
  for (const name in dimensions)
    if (!declaredNames.has(name) || !dimensionValues.has(dimensions[name])) return false
  return true
}

function areMeasures(measures: Measures | undefined): boolean {
  for (const name in measures)
    if (!declaredNames.has(name) || measures[name] === undefined || !isCount(measures[name]))
      return false
  return true
}

export const areApiKeyCounts = (counts: ApiKeyCounts) =>
  isCount(counts.requests) &&
  isCount(counts.successRequests) &&
  (counts.successRequests ?? 0) <= (counts.requests ?? 0) &&
  areDimensions(counts.dimensions) &&
  areMeasures(counts.measures)

export const isApiKeyRecord = ({ key, name, group, ...counts }: ApiKeyRecord) =>
  (typeof key === 'number' ? isId(key) : isName(key)) &&
  (name === undefined || isName(name)) &&
  (group === undefined || isName(group)) &&
  areApiKeyCounts(counts)

export const areTokenCounts = (counts: TokenCounts) =>
  isCount(counts.requests) &&
  isCount(counts.tokens) &&
  isCount(counts.lastAccessedAt) &&
  (counts.lastAccessedAt ?? 0) <= MAX_TIME &&
  areDimensions(counts.dimensions) &&
  areMeasures(counts.measures)
