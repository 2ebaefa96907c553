/**
 * What a reader on another instance waits for, told to the one that tends the shard: `1 usage 41`
 * on the channel. A hint: one that is lost costs that reader a second, a wrong one a pass.
 */
export type CatchUpRequest = { shard: number; group: string; position: number }

/** The channel (LISTEN, NOTIFY) on which instances tell each other. */
export const CHANNEL = 'tallybook_wanted'

export function formatCatchUpRequest({ shard, group, position }: CatchUpRequest): string {
  return `${shard} ${group} ${position}`
}

/** Null where it is none: anybody who may connect to the database can send anything. */
export function parseCatchUpRequest(text: string): CatchUpRequest | null {
  const [, shard, group, position] = /^(\d{1,9}) ([a-z]{1,16}) (\d{1,15})$/.exec(text) ?? []
  if (group === undefined) return null
  return { shard: Number(shard), group, position: Number(position) }
}
