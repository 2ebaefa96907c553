import pino from 'pino'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { refreshCatalog } from '../../src/log/catalog/refresh.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { Projector } from '../../src/read-model/projector/projector.ts'
import { AsOfQueries } from '../../src/read-model/queries/as-of.ts'
import type { ReadLarge } from '../../src/read-model/queries/read-large.ts'
import type { RuleEvent } from '../../src/rules/crossings.ts'
import { Rules } from '../../src/rules/rules.ts'
import { Sources } from '../../src/sources/sources.ts'
import type { TestService } from '../support/service.ts'

/** An event of a rule in the log. */
export type Recorded = RuleEvent & { position: number; source: string }

/** Reads the events of rules, in the order of the log. */
export async function readRecorded({ database }: TestService): Promise<Recorded[]> {
  const rows = await database.owner<
    { position: string; type: 'RuleCrossed'; source: string; payload: string }[]
  >`
    select e.position, e.type, e.source, e.payload::text as payload
    from events e
    where e.shard = 0 and e.type like 'Rule%'
    order by e.position`
  return rows.map(({ position, type, source, payload }) => ({
    ...{ position: Number(position), type, source, data: JSON.parse(payload) },
  })) as Recorded[]
}

/** Describes events in short: `crossed quota_80 key/a`. */
export const inShort = (events: readonly Recorded[]): string[] =>
  events.map(({ type, data: { rule, subject } }) => {
    const what = type === 'RuleCrossed' ? 'crossed' : 'cleared'
    return `${what} ${rule.name} ${subject.kind}/${subject.id}`
  })

/** Puts rules into the catalog. */
export async function putRules(service: TestService, rules: readonly object[]): Promise<void> {
  const response = await service.putCatalog({ rules })
  if (response.status !== 200) throw new Error(await response.text())
}

/** A rule that more than a tenth of a group's requests fail today. */
export const fails = (name: string, id: number, more: object = {}) => ({
  ...{ name, kind: 'success_rate', of: 'provider_group', id, below: 0.9, minutes: 1440 },
  ...{ min_requests: 10, ...more },
})

/** Evaluates the rules of a service as its own process would, when it is told to. */
export type Evaluator = { rules: Rules; pools: Pools; close(): Promise<void> }

/** Opens an evaluator, which takes itself for the owner of shard 0. */
export function openEvaluator(
  { database, shards }: TestService,
  readLarge: ReadLarge | null = null,
): Evaluator {
  const logger = pino({ level: 'silent' })
  const pools = openPools(database.address, shards)
  const projector = new Projector(pools, shards, logger)
  projector.start()
  const catalog = new Catalog()
  const rules = new Rules({
    ...{ pools, catalog, projector, logger, owns: () => true, evaluateIntervalMs: 1_000_000 },
    refresh: () => refreshCatalog(pools.append, catalog),
    history: new AsOfQueries(pools, shards, () => projector.hurrySnapshots(), readLarge),
    sources: new Sources({ sql: pools.project, shards, logger }),
    onAppended: () => {},
  })
  const close = async () => {
    await projector.stop()
    await pools.close()
  }
  return { rules, pools, close }
}
