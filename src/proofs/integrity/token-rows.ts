import type { Event } from '../../events/event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** What the events of a token say of it, through the last one at `position`. */
type Recorded = { role: string; isLive: boolean; position: number }

type TokenRow = {
  name: string
  role: string
  is_live: boolean
  /** Created, or revoked, when every instance recorded that. */
  is_recorded: boolean
  is_end_recorded: boolean
}

/** The migration since which changes of tokens are events. */
const MIGRATION = 34

/** How long after it instances of an older release, which record none, may still have run. */
const UPGRADE = '1 day'

/** The tokens that there must be by the events of a log. */
export class TokenRows {
  readonly #tokens = new Map<string, Recorded>()

  add({ type, data }: Event, position: number): void {
    if (type !== 'TokenCreated' && type !== 'TokenRevoked') return
    this.#tokens.set(data.name, { role: data.role, isLive: type === 'TokenCreated', position })
  }

  /**
   * Compares the rows, in the snapshot of `sql`. Events through `imported` may have come from
   * another database, which has their tokens.
   */
  async compare(sql: Transaction, imported: number): Promise<Problem[]> {
    const rows = await sql<TokenRow[]>`
      select
        t.name, t.role, t.revoked_at is null as is_live,
        coalesce(t.created_at > m.upgraded_at, false) as is_recorded,
        coalesce(t.revoked_at > m.upgraded_at, false) as is_end_recorded
      from tokens t
        cross join (
          select max(m.applied_at) + ${UPGRADE}::interval as upgraded_at
          from migrations m
          where m.number = ${MIGRATION}
        ) m`
    const found = new Map(rows.map((row) => [row.name, row]))
    const names = [...new Set([...found.keys(), ...this.#tokens.keys()])].sort()
    return names
      .flatMap((name) => findWrong(name, this.#tokens.get(name), found.get(name), imported))
      .slice(0, MAX_PROBLEMS)
  }
}

function findWrong(
  name: string,
  recorded: Recorded | undefined,
  row: TokenRow | undefined,
  imported: number,
): Problem[] {
  const problem = { check: 'tokens', at: `tokens ${name}` } as const
  const shown = row === undefined ? 'no row' : describe(row.role, row.is_live)
  if (recorded === undefined) {
    if (row!.is_recorded) return [{ ...problem, expected: 'no row', found: shown }]
    if (!row!.is_end_recorded) return []
    return [{ ...problem, expected: describe(row!.role, true), found: shown }]
  }
  if (recorded.position <= imported) return []
  const expected = describe(recorded.role, recorded.isLive)
  // Revoked by an instance of an older release.
  const isOlder = row !== undefined && !row.is_live && !row.is_end_recorded
  if (shown === expected || (isOlder && row.role === recorded.role)) return []
  return [{ ...problem, expected, found: shown }]
}

const describe = (role: string, isLive: boolean) => (isLive ? role : `${role}, revoked`)
