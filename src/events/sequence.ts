/**
 * The numbers of a flush in the sequence of its sender: all from `first` through `last`, if it
 * merges several. `epoch` is a process or a spool. `isEnd`: the sender was shut down cleanly.
 */
export type Sequence = { epoch: string; first: number; last: number; isEnd: boolean }

const NUMBER = '(0|[1-9][0-9]{0,15})'
const FORM = new RegExp(`^([A-Za-z0-9._-]{1,64})/${NUMBER}(?:-${NUMBER})?(;last)?$`)

/**
 * Reads `<epoch>/<number>` or `<epoch>/<first>-<last>`, with `;last` behind it at the end. Returns
 * null if the text has another form.
 *
 *     gateway-1.6f3a/41;last
 */
export function parseSequence(text: string): Sequence | null {
  const [, epoch, from, to = from, end] = FORM.exec(text) ?? []
  if (epoch === undefined) return null
  const [first, last] = [Number(from), Number(to)]
  if (first > last || last >= Number.MAX_SAFE_INTEGER) return null
  return { epoch, first, last, isEnd: end !== undefined }
}
