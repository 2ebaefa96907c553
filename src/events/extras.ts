import { isCount, LAST_UNIX_SECOND, PayloadError } from './columns.ts'
import { decodeCombinedDetails } from './combined-details.ts'
import type { Details } from './details.ts'
import { decodeDetails, encodeDetails } from './details-payload.ts'
import { parseSequence } from './sequence.ts'

/** The time, the sequence, and the dimensions and measures of a flush, if it has them. */
export type Extras = { counted_at?: number; sequence?: string; details?: Details }

/** Returns the members of a payload for these; JSON leaves undefined ones out. */
export const encodeExtras = ({ counted_at, sequence, details }: Extras) => ({
  ...{ counted_at, sequence },
  ...(details && encodeDetails(details)),
})

/** Reads these members of a payload with so many entries. Throws PayloadError. */
export type DecodeExtras = (payload: object, entries: number) => Extras

/** Reads a time, or the combinations of dimensions and the measures, or both. */
export const decodeCombinedExtras: DecodeExtras = (payload, entries) => {
  const time = decodeTime(payload)
  if ('dimensions' in payload) return { ...time, details: decodeCombinedDetails(payload, entries) }
  if (time.counted_at === undefined) throw new PayloadError('an older version would do')
  return time
}

/** Reads the dimensions and measures, and a time if there is one. */
export const decodeDetailedExtras: DecodeExtras = (payload, entries) => ({
  ...decodeTime(payload),
  details: decodeDetails(payload, entries),
})

/** Reads the sequence, and whatever there is of the others. */
export const decodeNumberedExtras: DecodeExtras = (payload, entries) => {
  const { sequence } = payload as { sequence?: unknown }
  if (typeof sequence !== 'string' || parseSequence(sequence) === null) {
    throw new PayloadError('sequence is not numbers of an epoch')
  }
  const others = 'dimensions' in payload ? decodeDetailedExtras : decodeTime
  return { ...others(payload, entries), sequence }
}

function decodeTime(payload: object): { counted_at?: number } {
  const { counted_at } = payload as { counted_at?: number }
  if (counted_at === undefined) return {}
  if (!(isCount(counted_at) && counted_at <= LAST_UNIX_SECOND)) {
    throw new PayloadError('counted_at is not a time')
  }
  return { counted_at }
}
