import { parseSequence } from '../../events/sequence.ts'
import { Problem } from '../problem.ts'

/** Returns the header `Tallybook-Sequence` as sent, or null if there is none. */
export function readSequence(request: Request): string | null {
  const sequence = request.headers.get('tallybook-sequence')
  if (sequence === null || parseSequence(sequence) !== null) return sequence
  throw new Problem(
    400,
    'invalid sequence',
    'Tallybook-Sequence must be `<epoch>/<number>` or `<epoch>/<first>-<last>`, and may end with ' +
      '`;last`. An epoch is 1 to 64 of A-Z a-z 0-9 . _ -; numbers are from 0 to 2^53 - 2.',
  )
}
