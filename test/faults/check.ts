import { createHash } from 'node:crypto'
import type { Sql } from '../../src/platform/postgres/pool.ts'
import type { Entry, History, Sent } from './history.ts'
import { ADOPTABLE, isAdoptable, isKnown } from './history.ts'
import { entriesOf, type Payload } from './payload.ts'

/** The findings of a campaign. Each of `violations` is a failure. */
export type Findings = {
  events: number
  /** Acknowledged flushes that are not in the log, and flushes that are there twice. */
  lost: number
  doubled: number
  violations: string[]
}

type LogRow = {
  shard: number
  position: string
  type: string
  recorded_at: string
  source: string
  idempotency_key: string | null
  payload: string
  sha256: string
}

type Sums = Map<number, { requests: number; successes: number }>

/** Compares the log with what the clients know, and the counters with the log. */
export async function checkLog(owner: Sql, history: History): Promise<Findings> {
  const findings: Findings = {
    events: 0,
    lost: 0,
    doubled: 0,
    violations: [...history.violations],
  }
  const violate = (what: string) => findings.violations.push(what)
  const keys: Sums = new Map()
  const groups: Sums = new Map()
  const found = new Map<string, LogRow>()
  const reversals = new Reversals(violate)
  const next = new Map<number, number>()
  const times = new Map<number, string>()

  const rows = owner<LogRow[]>`
    select
      e.shard, e.position, e.type, e.source, e.idempotency_key, e.payload::text as payload,
      to_char(e.recorded_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') as recorded_at,
      encode(e.payload_sha256, 'hex') as sha256
    from events e
    order by e.shard, e.position`
  for await (const chunk of rows.cursor(1_000)) {
    for (const row of chunk) {
      findings.events++
      const at = `${row.shard}/${row.position}`
      if (Number(row.position) !== (next.get(row.shard) ?? 0)) violate(`a gap before ${at}`)
      next.set(row.shard, Number(row.position) + 1)
      if (row.recorded_at < (times.get(row.shard) ?? '')) violate(`time runs backwards at ${at}`)
      times.set(row.shard, row.recorded_at)
      if (createHash('sha256').update(row.payload).digest('hex') !== row.sha256) {
        violate(`the payload at ${at} does not match its hash`)
      }
      if (row.type === 'EventReversed') reversals.add(row, keys, groups)
      if (row.type === 'UnknownKeysAdopted') foldAdoption(row, keys, groups)
      if (row.type !== 'ApiKeyStatsFlushed') continue
      const key = row.idempotency_key ?? at
      if (found.has(key)) {
        findings.doubled++
        violate(`${key} is in the log twice`)
      }
      found.set(key, row)
      fold(JSON.parse(row.payload) as Payload, keys, groups)
    }
  }

  const sentByKey = new Map(history.sent.map((sent) => [sent.key, sent]))
  for (const key of found.keys()) if (!sentByKey.has(key)) violate(`${key} was never sent`)
  for (const sent of history.sent) checkSent(sent, found.get(sent.key), findings)
  reversals.check(history)
  checkAdopted(found.values(), reversals, keys, violate)
  await checkCounters(owner, { keys, groups }, violate)
  return findings
}

type ReversalPayload = {
  reversed: string
  provider_groups?: { ids: number[]; requests: number[]; successes: number[] }
  api_keys?: { ids: number[]; requests: number[]; successes: number[] }
}

/** The reversals in the log. */
class Reversals {
  readonly #byReversed = new Map<string, string>()

  constructor(private readonly violate: (what: string) => void) {}

  add({ shard, position, payload }: LogRow, keys: Sums, groups: Sums): void {
    const { reversed, api_keys, provider_groups } = JSON.parse(payload) as ReversalPayload
    if (this.#byReversed.has(reversed)) this.violate(`${reversed} is reversed twice`)
    this.#byReversed.set(reversed, `${shard}/${position}`)
    const takeBack = (sums: Sums, rows: ReversalPayload['api_keys']) => {
      for (const [i, id] of (rows?.ids ?? []).entries()) {
        const [requests, success_requests] = [-rows!.requests[i]!, -rows!.successes[i]!]
        add(sums, id, { api_key_id: id, requests, success_requests })
      }
    }
    takeBack(keys, api_keys)
    takeBack(groups, provider_groups)
  }

  /** True if the event at a place is reversed. */
  has(place: string): boolean {
    return this.#byReversed.has(place)
  }

  /** Each acknowledged reversal is there, and no flush was reversed that no one tried to. */
  check({ sent }: History): void {
    for (const { key, ack, reversal = null, isReversing } of sent) {
      const at = ack === null ? undefined : this.#byReversed.get(ack.position)
      if (reversal !== null && at !== reversal) {
        this.violate(`the reversal of ${key} was acknowledged at ${reversal}, but is at ${at}`)
      }
      if (at !== undefined && !isReversing) this.violate(`${key} is reversed, but no one asked`)
    }
  }
}

function checkSent(sent: Sent, row: LogRow | undefined, findings: Findings): void {
  const { key, ack, entries, countedAt = null } = sent
  if (row === undefined) {
    if (ack === null) return
    findings.lost++
    findings.violations.push(`${key} was acknowledged at ${ack.position} and is not in the log`)
    return
  }
  const at = `${row.shard}/${row.position}`
  if (ack !== null && ack.position !== at) {
    findings.violations.push(
      `${key} was acknowledged at ${ack.position} and is in the log at ${at}`,
    )
  }
  const payload = JSON.parse(row.payload) as Payload
  if (canonical(entriesOf(payload)) !== canonical(entries)) {
    findings.violations.push(`${key} at ${at} has other entries than were sent`)
  }
  if ((payload.counted_at ?? null) !== countedAt) {
    findings.violations.push(`${key} at ${at} was counted at ${payload.counted_at}`)
  }
}

const canonical = (entries: Entry[]) =>
  entries
    .map((one) => `${one.api_key_id} ${one.requests} ${one.success_requests}`)
    .sort()
    .join(', ')

function fold(payload: Payload, keys: Sums, groups: Sums): void {
  const groupOf = payload.groups.flatMap((group, run) =>
    Array.from({ length: payload.counts[run]! }, () => group),
  )
  for (const [i, entry] of entriesOf(payload).entries()) {
    const group = groupOf[i]
    const { api_key_id } = entry
    if (!isAdoptable(api_key_id) && isKnown(api_key_id) !== (group !== null))
      throw new Error(`key ${entry.api_key_id} is in group ${group}`)
    if (group === null || entry.requests === 0) continue
    add(keys, entry.api_key_id, entry)
    if (group) add(groups, group, entry)
  }
}

/** The rows of an adoption, read here independently of the service's reader. */
function foldAdoption({ payload }: LogRow, keys: Sums, groups: Sums): void {
  type Rows = { ids: number[]; groups: number[]; requests: number[]; successes: number[] }
  const { api_keys } = JSON.parse(payload) as { api_keys: Rows }
  for (const [i, id] of api_keys.ids.entries()) {
    const [requests, success_requests] = [api_keys.requests[i]!, api_keys.successes[i]!]
    if (requests === 0) continue
    const entry = { api_key_id: id, requests, success_requests }
    add(keys, id, entry)
    if (api_keys.groups[i]) add(groups, api_keys.groups[i]!, entry)
  }
}

/** Each entry for a key that was adopted counts once, unless its flush is reversed. */
function checkAdopted(
  flushes: Iterable<LogRow>,
  reversals: Reversals,
  keys: Sums,
  violate: (what: string) => void,
): void {
  const expected: Sums = new Map()
  for (const { shard, position, payload } of flushes) {
    if (reversals.has(`${shard}/${position}`)) continue
    for (const entry of entriesOf(JSON.parse(payload) as Payload)) {
      if (isAdoptable(entry.api_key_id)) add(expected, entry.api_key_id, entry)
    }
  }
  for (const id of ADOPTABLE) {
    const [counted, posted] = [keys, expected].map((sums) => sums.get(id)?.requests ?? 0)
    if (counted !== posted) violate(`key ${id}: ${counted} adopted or counted, ${posted} posted`)
  }
}

function add(sums: Sums, id: number, { requests, success_requests }: Entry): void {
  const sum = sums.get(id) ?? { requests: 0, successes: 0 }
  sums.set(id, {
    requests: sum.requests + requests,
    successes: sum.successes + success_requests,
  })
}

/** Compares the live projections with the sums of the log; a rebuild may be making others. */
async function checkCounters(
  owner: Sql,
  { keys, groups }: { keys: Sums; groups: Sums },
  violate: (what: string) => void,
): Promise<void> {
  const tables = [
    ['api_key_counters', 'api_key_id', keys],
    ['provider_group_counters', 'provider_group_id', groups],
  ] as const
  for (const [table, id, sums] of tables) {
    const rows = await owner<{ id: string; requests: string; successes: string }[]>`
      select c.${owner(id)} as id, sum(c.requests) as requests, sum(c.successes) as successes
      from ${owner(table)} c
        join projections p on p.projection = ${table} and p.generation = c.generation
      group by c.${owner(id)}`
    if (rows.length !== sums.size) violate(`${table} has ${rows.length} ids, not ${sums.size}`)
    for (const row of rows) {
      const sum = sums.get(Number(row.id))
      if (Number(row.requests) !== sum?.requests || Number(row.successes) !== sum.successes) {
        violate(`${table} ${row.id}: ${row.requests}, recomputed ${JSON.stringify(sum)}`)
      }
    }
  }
  const parked = await owner`select * from parked_events`
  if (parked.length > 0) violate(`${parked.length} events are parked`)
}
