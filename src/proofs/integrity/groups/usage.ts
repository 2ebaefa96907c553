import type { Event } from '../../../events/event.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { ShardFold } from '../../verifier/fold.ts'
import { quarterHourOf } from '../../verifier/usage-time.ts'
import { compareRows } from '../compare.ts'
import type { Problem } from '../problem.ts'
import { attestedTable, type Target } from '../tables.ts'
import type { ProjectionGroup, Settled, Targets } from './group.ts'
import { PeriodRows } from './periods.ts'

const TABLES = [
  ...(['api_key_usage', 'provider_group_usage', 'key_usage'] as const),
  ...(['api_key_parts', 'provider_group_parts', 'key_parts'] as const),
]
const BACKDATED = [
  'api_key_backdated_usage',
  'provider_group_backdated_usage',
  'key_backdated_usage',
] as const
const BACKDATED_PARTS = [
  'api_key_backdated_parts',
  'provider_group_backdated_parts',
  'key_backdated_parts',
] as const

/** Checks that readers know that there is backdated usage. */
async function checkNoted(sql: Transaction, { shard, generation }: Target): Promise<Problem[]> {
  const rows = await sql`
    select
    from checkpoints c
    where c.shard = ${shard} and c.projection = 'usage' and c.generation = ${generation}
      and c.has_backdated`
  if (rows.length > 0) return []
  const at = `checkpoints ${shard}/usage/${generation}`
  return [{ check: 'checkpoints', at, expected: 'has_backdated', found: 'not has_backdated' }]
}

/** Checks what was counted in each bucket of 15 minutes. */
export class UsageGroup implements ProjectionGroup {
  readonly projections = [
    {
      ...{ projection: 'usage', version: 1 },
      tables: [...TABLES, ...BACKDATED, ...BACKDATED_PARTS].map(attestedTable),
    },
  ]
  readonly #fold = new ShardFold({ counters: false, usage: true, catalog: false })
  readonly #periods = new PeriodRows()
  /** The start of the first bucket that was not compared yet; null if none was. */
  #from: string | null = null

  add(event: Event | null, position: number, recordedAt: string): void {
    this.#fold.add(event, position, recordedAt)
    this.#periods.add(event, position, recordedAt)
  }

  /** Time never decreases in a shard, so no later event counts in a bucket that is over. */
  async compareSettled(sql: Transaction, targets: Targets): Promise<Settled[]> {
    if (this.#fold.recordedAt === '') return []
    const before = quarterHourOf(this.#fold.recordedAt)
    if (this.#from !== null && before <= this.#from) return []
    const target = targets.get('usage')
    const problems = target ? await this.#compare(sql, target, before) : []
    this.#fold.forgetUsageBefore(before)
    this.#from = before
    return [{ projection: 'usage', problems }]
  }

  async compare(sql: Transaction, _: string, target: Target): Promise<Problem[]> {
    const problems = await this.#compare(sql, target, null)
    let hasBackdated = false
    for (const name of [...BACKDATED, ...BACKDATED_PARTS]) {
      const rows = [...this.#fold.rows(name)]
      hasBackdated ||= rows.length > 0
      problems.push(...(await compareRows(sql, attestedTable(name), target, rows)))
    }
    const late = this.#fold.rows('key_backdated_usage')
    problems.push(...(await this.#periods.compare(sql, target, late)))
    return hasBackdated ? [...problems, ...(await checkNoted(sql, target))] : problems
  }

  async #compare(sql: Transaction, target: Target, before: string | null): Promise<Problem[]> {
    const range = {
      condition: `t.quarter >= $3::timestamptz${before ? ' and t.quarter < $4::timestamptz' : ''}`,
      parameters: [this.#from ?? '-infinity', ...(before ? [before] : [])],
    }
    const problems: Problem[] = []
    for (const name of TABLES) {
      const rows = this.#fold.rows(name, {
        from: this.#from ?? undefined,
        before: before ?? undefined,
      })
      problems.push(...(await compareRows(sql, attestedTable(name), target, rows, range)))
    }
    return problems
  }
}
