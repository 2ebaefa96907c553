/** One request of a gateway, as it is counted. */
export type UsageRecord = {
  /** Tells the record from others of its input, so that it counts once; null if nothing does. */
  id: string | null
  /** The external id of the API key. */
  key: string
  /** What a service that registers unknown keys calls it: its name, and its group's external id. */
  name?: string
  group?: string
  /** Unix seconds; null if the record does not say. */
  at: number | null
  isSuccess: boolean
  dimensions: Record<string, string>
  measures: Record<string, number>
}

/** What a record of a sender is: a request to count, something else, or unreadable. */
export type Reading =
  | { kind: 'record'; record: UsageRecord }
  | { kind: 'ignored' }
  | { kind: 'malformed'; reason: string }
