/**
 * A position that a reader on another instance waits for, sent as `1 usage 41` (shard, group,
 * position) to the owner of the shard. It is only a hint: if it is lost, the reader waits a second
 * longer; if it is wrong, the owner writes one batch too early.
 */
export type CatchUpRequest = { shard: number; group: string; position: number }

/** The channel (LISTEN, NOTIFY) on which instances send requests to each other. */
export const CHANNEL = 'tallybook_wanted'

/** Formats a request as the text of a notification. */
export function formatCatchUpRequest({ shard, group, position }: CatchUpRequest): string {
  return `${shard} ${group} ${position}`
}

/**
 * Parses a notification. Returns null if it is not a request: anyone who may connect to the
 * database can send any text.
 */
export function parseCatchUpRequest(text: string): CatchUpRequest | null {
  const [, shard, group, position] = /^(\d{1,9}) ([a-z]{1,16}) (\d{1,15})$/.exec(text) ?? []
  if (group === undefined) return null
  return { shard: Number(shard), group, position: Number(position) }
}
