import { type StoredEvent, typesThatPostTo } from '../events/event.ts'
import { mayHave } from '../events/packed.ts'
import { openWindow, type Stretch } from '../log/archived.ts'
import { statedTime, statedTimeOf } from '../log/read.ts'
import { payloadText, SMALL_BYTES } from '../log/visit.ts'
import type { Fragment, Sql, Transaction } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import type { Scope } from '../read-model/queries/scope.ts'

/** An event that may contribute. The payload is null if it is large: it is then read in parts. */
export type Candidate = Omit<StoredEvent, 'shard' | 'payload' | 'payloadBytes'> & {
  payload: string | null
  countedAt(): number | null
}

/** Events of the archive that are decoded in one go. */
const ARCHIVED_EVENTS = 2_000

/** Returns events at the beginning of a stretch: all that contribute, and perhaps others. */
export async function readCandidates(
  sql: Sql | Transaction,
  scope: Scope,
  stretch: Stretch,
  { limit, smallOnly }: { limit: number; smallOnly: boolean },
): Promise<{ candidates: Candidate[]; readThrough: number }> {
  const { events, through } = await openWindow(sql, stretch, ARCHIVED_EVENTS)
  if (events !== null) {
    const types = typesThatPostTo(scope.kind)
    const posting = events.filter(({ type }) => types.includes(type))
    const mentioned = posting.filter(mayMention(scope))
    return { candidates: mentioned.map((one) => toCandidate(one, smallOnly)), readThrough: through }
  }
  const rows = await selectCandidates(sql, scope, { ...stretch, through }, { limit, smallOnly })
  const candidates = rows.map(({ position, countedAt, ...row }) => ({
    ...{ ...row, position: Number(position) },
    countedAt: () => (countedAt === null ? null : Number(countedAt)),
  }))
  return { candidates, readThrough: rows.length < limit ? through : candidates.at(-1)!.position }
}

function toCandidate(event: StoredEvent, smallOnly: boolean): Candidate {
  const payload = smallOnly && event.payload.length > SMALL_BYTES ? null : event.payload
  return { ...event, payload, countedAt: () => statedTimeOf(event) }
}

/** Like `isMentioned`, for an event of the archive; also true if only decoding it tells. */
function mayMention({ kind, account }: Scope): (event: StoredEvent) => boolean {
  if (account === null) return () => true
  const text = JSON.stringify(account)
  if (kind === 'key') return ({ payload }) => payload.includes(text)
  const listed = new RegExp(`[[,]${account}[\\],]`)
  const isPacked = ({ type, version }: StoredEvent) =>
    kind === 'api_key' && type === 'ApiKeyStatsFlushed' && version >= 4
  return (event) =>
    isPacked(event) ? mayBePacked(event, Number(account)) : listed.test(event.payload)
}

function mayBePacked({ payload }: StoredEvent, id: number): boolean {
  const columns = [...payload.matchAll(/"ids":\[(\d+),"([^"]*)"\]/g)]
  return columns.length === 0 || columns.some(([, bits, ids]) => mayHave(Number(bits), ids!, id))
}

type CandidateRow = Omit<Candidate, 'position' | 'countedAt'> & {
  position: string
  countedAt: string | null
}

function selectCandidates(
  sql: Sql | Transaction,
  scope: Scope,
  { shard, after, through }: Stretch,
  { limit, smallOnly }: { limit: number; smallOnly: boolean },
): Promise<CandidateRow[]> {
  return sql<CandidateRow[]>`
    select
      e.position, e.type, e.version, e.source, e.idempotency_key as "idempotencyKey",
      ${statedTime(sql)} as "countedAt", ${payloadText(sql, smallOnly)} as payload,
      encode(e.payload_sha256, 'hex') as "payloadSha256",
      ${sql.unsafe(toMicroseconds('e.recorded_at'))} as "recordedAt"
    from events e
    where e.shard = ${shard} and e.position > ${after} and e.position <= ${through}
      and e.type in ${sql(typesThatPostTo(scope.kind))}
      and ${isMentioned(sql, scope)}
    order by e.position
    limit ${limit}`
}

function isMentioned(sql: Sql | Transaction, { kind, account }: Scope): Fragment {
  if (account === null) return sql`true`
  // Texts appear as the append formatted them.
  if (kind === 'key') return sql`strpos(e.payload::text, ${JSON.stringify(account)}) > 0`
  // Ids appear in arrays.
  const isListed = sql`e.payload::text ~ ${`[[,]${account}[],]`}`
  if (kind === 'provider_group') return isListed
  // From version 4 on the ids of API keys are packed: some of their bits are those of the id.
  const ids = sql`e.payload->'ids'`
  const bits = sql`substring(${account}::bigint::bit(64) from 65 - packed_width(${ids}))`
  return sql`
    case
      when e.type <> 'ApiKeyStatsFlushed' or e.version < 4 then ${isListed}
      else position(${bits} in packed_bits(${ids})) > 0
    end`
}
