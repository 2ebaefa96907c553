import type { Entry } from './history.ts'

/**
 * A payload of version 2; with `named` and `names` of version 3; or with packed columns and all
 * failures of version 4 or 6. It is read here independently of the service's reader.
 */
export type Payload = {
  groups: (number | null)[]
  counts: number[]
  ids: Column
  requests: Column
  failing?: number[]
  failures: Column
  named?: number[]
  names?: string[]
  counted_at?: number
}

type Column = number[] | [bits: number, base64: string]

/** Returns the entries of a flush; an external id that no key had stands for the id in it. */
export function entriesOf(payload: Payload): Entry[] {
  const { counts, failing, named = [], names = [] } = payload
  const length = counts.reduce((sum, count) => sum + count, 0)
  const failures = unpack(payload.failures, failing === undefined ? length : failing.length)
  const failuresOf = new Map(failures.map((count, i) => [failing?.[i] ?? i, count]))
  const idOf = new Map(named.map((entry, i) => [entry, Number(names[i]!.replace('sk-', ''))]))
  const requests = unpack(payload.requests, length)
  return unpack(payload.ids, length).map((api_key_id, i) => ({
    api_key_id: idOf.get(i) ?? api_key_id,
    requests: requests[i]!,
    success_requests: requests[i]! - (failuresOf.get(i) ?? 0),
  }))
}

/** Reads a packed column as one long binary number. */
function unpack(column: Column, length: number): number[] {
  if (typeof column[1] !== 'string') return column as number[]
  const [bits, base64] = column as [number, string]
  const text = Array.from(Buffer.from(base64, 'base64'), (byte) =>
    byte.toString(2).padStart(8, '0'),
  ).join('')
  return Array.from({ length }, (_, i) =>
    Number.parseInt(`0${text.slice(i * bits, (i + 1) * bits)}`, 2),
  )
}
