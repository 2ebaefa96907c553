import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** The checkpoint of a projection's live generation in one shard. */
export type LiveCheckpoint = { generation: number; position: number }

/** A projection that must exist, and the version of its fold. */
type Known = { projection: string; version: number }

/**
 * Returns the checkpoint of every live generation in one shard, by projection, except those folded
 * by another version.
 */
export async function readLiveCheckpoints(
  sql: Sql | Transaction,
  shard: number,
  known: readonly Known[],
): Promise<Map<string, LiveCheckpoint>> {
  const rows = await sql<{ projection: string; generation: number; position: string }[]>`
    select c.projection, c.generation, c.position
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
      join ${listOf(sql, known)} on k.projection = p.projection and k.version = p.version
    where c.shard = ${shard}`
  return new Map(
    rows.map(({ projection, generation, position }) => [
      projection,
      { generation, position: Number(position) },
    ]),
  )
}

/**
 * Returns the problems found in a generation's rows if it is still live. Once a rebuild has
 * replaced it, its rows are removed, and nothing about them is a problem.
 */
export async function ifStillLive(
  sql: Sql | Transaction,
  projection: string,
  generation: number,
  problems: Problem[],
): Promise<Problem[]> {
  if (problems.length === 0) return []
  const rows = await sql`
    select from projections p
    where p.projection = ${projection} and p.generation = ${generation}`
  return rows.length > 0 ? problems : []
}

/** The generations and their checkpoints, read in one snapshot. */
type State = {
  projections: { projection: string; generation: number; version: number }[]
  checkpoints: { shard: number; projection: string; generation: number; position: string }[]
  rebuilds: { projection: string; generation: number; state: string }[]
  /** The head of each shard; -1 if it has no event. */
  heads: Map<number, string>
}

/**
 * Checks that the projections are the known ones, that each live generation has a checkpoint in
 * every shard, and that no checkpoint is ahead of the log or belongs to a generation, shard or
 * projection that does not exist.
 */
export async function checkCheckpoints(sql: Sql, known: readonly Known[]): Promise<Problem[]> {
  const state = await transact(sql, 'isolation level repeatable read', readState)
  return [
    ...findVersions(state, known),
    ...state.projections.flatMap((live) => findMissing(state, live)),
    ...state.checkpoints.flatMap((checkpoint) => findWrong(state, checkpoint)),
  ]
    .slice(0, MAX_PROBLEMS)
    .map((problem) => ({ check: 'checkpoints', ...problem }))
}

type Found = Omit<Problem, 'check'>

/** Reads each table by itself, because Citus may place them on different nodes. */
async function readState(sql: Transaction): Promise<State> {
  const checkpoints = await sql<State['checkpoints']>`
    select c.shard, c.projection, c.generation, c.position
    from checkpoints c
    order by c.shard, c.projection, c.generation`
  const heads = await sql<{ shard: number; head: string }[]>`
    select
      s.shard,
      coalesce((select max(e.position) from events e where e.shard = s.shard), -1) as head
    from shards s
    order by s.shard`
  const projections = await sql<State['projections']>`
    select p.projection, p.generation, p.version from projections p order by p.projection`
  const rebuilds = await sql<State['rebuilds']>`
    select r.projection, r.generation, r.state from rebuilds r`
  return {
    ...{ projections, checkpoints, rebuilds },
    heads: new Map(heads.map(({ shard, head }) => [shard, head])),
  }
}

function findVersions({ projections, rebuilds }: State, known: readonly Known[]): Found[] {
  const names = new Set([...known, ...projections].map(({ projection }) => projection))
  return [...names].flatMap((name) => {
    const is = ({ projection }: { projection: string }) => projection === name
    const [wanted, found] = [known.find(is)?.version, projections.find(is)?.version]
    if (wanted === found) return []
    // A rebuild is replacing the rows of another version.
    const isReplaced = rebuilds.some((one) => is(one) && REBUILDING.includes(one.state))
    if (found !== undefined && isReplaced) return []
    return [
      {
        at: `projections ${name}`,
        expected: wanted === undefined ? 'no such projection' : `version ${wanted}`,
        found: found === undefined ? 'no row' : `version ${found}`,
      },
    ]
  })
}

const REBUILDING = ['waiting', 'folding', 'comparing']

/** Finds checkpoints that a live generation lacks. */
function findMissing(
  { checkpoints, heads }: State,
  { projection, generation }: State['projections'][number],
): Found[] {
  const own = checkpoints.filter((c) => c.projection === projection && c.generation === generation)
  const found: Found[] = [...heads.keys()]
    .filter((shard) => !own.some((checkpoint) => checkpoint.shard === shard))
    .map((shard) => ({
      at: `checkpoints ${shard}/${projection}/${generation}`,
      ...{ expected: 'a checkpoint', found: 'no row' },
    }))
  if (own.length > 0) return found
  const at = `projections ${projection}`
  const expected = 'a generation with checkpoints'
  return [{ at, expected, found: `generation ${generation}` }, ...found]
}

/** Returns a problem for a checkpoint that must not exist or is ahead of the log. */
function findWrong(
  { projections, rebuilds, heads }: State,
  { shard, projection, generation, position }: State['checkpoints'][number],
): Found[] {
  const head = heads.get(shard)
  const live = projections.find((one) => one.projection === projection)?.generation
  const isRebuilt = rebuilds.some(
    (one) => one.projection === projection && one.generation === generation,
  )
  const isOrphan = head === undefined || live === undefined || (live !== generation && !isRebuilt)
  if (!isOrphan && BigInt(position) <= BigInt(head)) return []
  return [
    {
      at: `checkpoints ${shard}/${projection}/${generation}`,
      expected:
        live === generation && head !== undefined
          ? `a position up to ${head}`
          : 'no checkpoint of a shard or generation that is not there',
      found: `position ${position}`,
    },
  ]
}

const listOf = (sql: Sql | Transaction, known: readonly Known[]) => sql`
  unnest(
    string_to_array(${known.map(({ projection }) => projection).join(' ')}, ' '),
    string_to_array(${known.map(({ version }) => version).join(' ')}, ' ')::integer[]
  ) as k(projection, version)`
