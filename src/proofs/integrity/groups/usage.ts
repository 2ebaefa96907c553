import type { Event } from '../../../events/event.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { BLOCK, endOfBlock } from '../../verifier/backdated.ts'
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

/** Rows of backdated usage in memory beyond which those that are complete are compared. */
const MAX_BACKDATED_ROWS = 500_000

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
  /** The position through which backdated usage was compared. */
  #after = -1
  #hasBackdated = false

  constructor(private readonly maxBackdatedRows = MAX_BACKDATED_ROWS) {}

  add(event: Event | null, position: number, recordedAt: string): void {
    this.#fold.add(event, position, recordedAt)
    this.#periods.add(event, position, recordedAt)
  }

  /** Time never decreases in a shard, so no later event counts in a bucket that is over. */
  async compareSettled(sql: Transaction, targets: Targets, position: number): Promise<Settled[]> {
    const target = targets.get('usage')
    const settled: Settled[] = []
    const compare = async (rows: () => Promise<Problem[]>) => {
      settled.push({ projection: 'usage', problems: target ? await rows() : [] })
    }
    const before = this.#fold.recordedAt === '' ? null : quarterHourOf(this.#fold.recordedAt)
    if (before !== null && (this.#from === null || before > this.#from)) {
      await compare(() => this.#compareTimely(sql, target!, before))
      this.#fold.forgetUsageBefore(before)
      this.#from = before
    }
    // Of backdated usage, the rows of blocks that are complete.
    const through = endOfBlock(position + 1) - BLOCK
    if (this.#fold.backdatedRows > this.maxBackdatedRows && through > this.#after) {
      await compare(() => this.#compareBackdated(sql, target!, through))
      this.#fold.forgetBackdatedThrough(through)
      this.#after = through
    }
    return settled
  }

  async compare(sql: Transaction, _: string, target: Target): Promise<Problem[]> {
    const problems = [
      ...(await this.#compareTimely(sql, target, null)),
      ...(await this.#compareBackdated(sql, target, Number.MAX_SAFE_INTEGER)),
      ...(await this.#periods.compare(sql, target)),
    ]
    return this.#hasBackdated ? [...problems, ...(await checkNoted(sql, target))] : problems
  }

  async #compareTimely(
    sql: Transaction,
    target: Target,
    before: string | null,
  ): Promise<Problem[]> {
    const range = {
      condition: `t.quarter >= $3::timestamptz${before ? ' and t.quarter < $4::timestamptz' : ''}`,
      parameters: [this.#from ?? '-infinity', ...(before ? [before] : [])],
    }
    const selection = { from: this.#from ?? undefined, before: before ?? undefined }
    const problems: Problem[] = []
    for (const name of TABLES) {
      const rows = this.#fold.rows(name, selection)
      problems.push(...(await compareRows(sql, attestedTable(name), target, rows, range)))
    }
    return problems
  }

  async #compareBackdated(sql: Transaction, target: Target, through: number): Promise<Problem[]> {
    const selection = { after: this.#after, through }
    const range = {
      condition: 't.position > $3::bigint and t.position <= $4::bigint',
      parameters: [this.#after, through],
    }
    const problems: Problem[] = []
    for (const name of [...BACKDATED, ...BACKDATED_PARTS]) {
      const rows = [...this.#fold.rows(name, selection)]
      this.#hasBackdated ||= rows.length > 0
      if (name === 'key_backdated_usage') this.#periods.addBackdated(rows)
      problems.push(...(await compareRows(sql, attestedTable(name), target, rows, range)))
    }
    return problems
  }
}
