import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** Where the live generation of a projection stands in a shard. */
export type LiveCheckpoint = { generation: number; position: number }

/** A projection that there should be, and the version of its fold. */
type Known = { projection: string; version: number }

/**
 * Every live generation's checkpoint in one shard, by projection; those left out that another
 * version has folded.
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
 * What was found in a generation's rows while it was live. Once a rebuild has replaced it they are
 * taken away, and nothing about them is a problem.
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

/** What says which generations there are, and how far they are; in one snapshot. */
type State = {
  projections: { projection: string; generation: number; version: number }[]
  checkpoints: { shard: number; projection: string; generation: number; position: string }[]
  rebuilds: { projection: string; generation: number; state: string }[]
  /** By shard; -1 where it has no event. */
  heads: Map<number, string>
}

/**
 * The projections are those there should be, each live generation has a checkpoint in every shard,
 * none is ahead of the log, and none belongs to a generation, shard or projection that isn't there.
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

/** Tables one by one: some are on other nodes than the rest, where they are spread. */
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
    // Another version's rows are being replaced.
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

/** Checkpoints that a live generation should have. */
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

/** A checkpoint that is where none may be. */
function findWrong(
  { projections, rebuilds, heads }: State,
  { shard, projection, generation, position }: State['checkpoints'][number],
): Found[] {
  const head = heads.get(shard)
  const live = projections.find((one) => one.projection === projection)?.generation
  const isRebuilt = rebuilds.some(
    (one) => one.projection === projection && one.generation === generation,
  )
  const isOfNone = head === undefined || live === undefined || (live !== generation && !isRebuilt)
  if (!isOfNone && BigInt(position) <= BigInt(head)) return []
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
