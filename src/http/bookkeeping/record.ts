import type { Books } from '../../bookkeeping/books.ts'
import type { ActRefusal, PostedAct, RecordedAct } from '../../bookkeeping/posted-act.ts'
import { type ActFault, type ActForm, parseAct } from './model.ts'

/** A request for an act, without its body. */
export type ActRequest = {
  form: ActForm
  /** The key whose quota is reset; an empty text for other acts. */
  tokenHash: string
  source: string
  idempotencyKey: string | null
}

/** What came of an act, and what its answer repeats of the request. */
export type ActOutcome = {
  outcome: RecordedAct | ActRefusal
  kind: PostedAct['kind']
  /** The number of rows of each kind in opening balances. */
  rows: { provider_groups: number; api_keys: number; keys: number }
  /** The event that is to be reversed, such as `0/41`. */
  reversed: string | null
}

/** Reads an act from the body of a request. */
export function readAct({ form, tokenHash }: ActRequest, text: string): PostedAct | ActFault {
  const posted = parseAct(form, text)
  return 'error' in posted || posted.kind !== 'reset' ? posted : { ...posted, tokenHash }
}

/** Records an act. Throws TemporarilyUnavailable. */
export async function recordAct(
  books: Books,
  { source, idempotencyKey }: ActRequest,
  posted: PostedAct,
): Promise<ActOutcome> {
  const outcome = await books.record(posted, source, idempotencyKey)
  const { provider_groups, api_keys, keys } = posted.kind === 'open' ? posted.opening : {}
  return {
    outcome,
    kind: posted.kind,
    rows: {
      provider_groups: provider_groups?.ids.length ?? 0,
      api_keys: api_keys?.ids.length ?? 0,
      keys: keys?.hashes.length ?? 0,
    },
    reversed: posted.kind === 'reverse' ? `${posted.shard}/${posted.position}` : null,
  }
}
