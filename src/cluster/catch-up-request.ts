/**
 * What a reader on another instance waits for, told to the one that tends the shard: `1 usage 41`
 * on the channel. A hint: one that is lost costs that reader a second, a wrong one a pass.
 */
export type Wanted = { shard: number; track: string; position: number }

/** The channel (LISTEN, NOTIFY) on which instances tell each other. */
export const CHANNEL = 'tallybook_wanted'

export function formatWanted({ shard, track, position }: Wanted): string {
  return `${shard} ${track} ${position}`
}

/** Null where it is none: anybody who may connect to the database can send anything. */
export function parseWanted(text: string): Wanted | null {
  const [, shard, track, position] = /^(\d{1,9}) ([a-z]{1,16}) (\d{1,15})$/.exec(text) ?? []
  if (track === undefined) return null
  return { shard: Number(shard), track, position: Number(position) }
}
