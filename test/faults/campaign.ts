import type { Sql } from '../../src/platform/postgres/pool.ts'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { makeDataDir } from '../support/process.ts'
import { TOKENS } from '../support/service.ts'
import { administer } from './administrator.ts'
import { adopt, adoptAll } from './adopter.ts'
import { keepBooks } from './bookkeeper.ts'
import { checkLog, type Findings } from './check.ts'
import { Quotas } from './check-quotas.ts'
import { checkSources } from './check-sources.ts'
import { Cluster, putCatalog } from './cluster.ts'
import { SeenHeads } from './heads.ts'
import { History } from './history.ts'
import { startLossyProxy } from './lossy-proxy.ts'
import { postTokens, resetQuotas } from './quotas.ts'
import { makeRandom } from './random.ts'
import { type FaultName, injectFaults } from './schedule.ts'
import { post, type Traffic, watch } from './traffic.ts'

export type CampaignOptions = {
  seed: number
  /** How long faults are injected. Traffic then goes on until `hasSeen` is true. */
  seconds: number
  shards: number
  instances: number
  posters: number
  /** Average milliseconds between two flushes of a poster; default 0. */
  pauseMs?: number
  /** The fraction of an instance's answers that are lost. */
  lostAnswers: number
}

/** Milliseconds after the last fault within which a slow machine does one of everything. */
const PATIENCE_MS = 60_000

/** What was done in a campaign, and its findings. */
export type Report = Findings & {
  options: CampaignOptions
  faults: Record<FaultName, number>
  answersLost: number
  counts: History['counts']
  longestOutageMs: number
  /** Distinct tree heads that were published. */
  heads: number
}

/**
 * Runs clients that retry every flush until it is acknowledged, while instances are killed, frozen
 * and disconnected and the database is killed. Then compares the log with what the clients know.
 */
export async function runCampaign(options: CampaignOptions): Promise<Report> {
  const { seed, seconds, shards, instances, posters, pauseMs = 0, lostAnswers } = options
  const random = makeRandom(seed)
  const dataDir = await makeDataDir('empty')
  const cluster = new Cluster(dataDir.path, shards)
  try {
    await cluster.start(instances)
    await putCatalog(cluster)
    const proxies = await Promise.all(
      cluster.instances.map((instance) =>
        startLossyProxy(() => instance.port, makeRandom(random.below(2 ** 32)), lostAnswers),
      ),
    )
    const history = new History()
    const heads = new SeenHeads(shards, history)
    const end = performance.now() + seconds * 1_000
    const areFaultsOver = () => performance.now() >= end
    const hasSeen = () => {
      const { acked, adopted, reset } = history.counts
      return Math.min(acked, adopted, reset) > 0 && heads.count > 1
    }
    // Faults can come so fast that nothing is signed, adopted or reset between them.
    const isOver = () => performance.now() >= end + (hasSeen() ? 0 : PATIENCE_MS)
    const traffic = (): Traffic => ({
      urls: () => proxies.map(({ url }) => url),
      history,
      random: makeRandom(random.below(2 ** 32)),
      isOver,
      pauseMs,
    })
    const clients = [
      ...Array.from({ length: posters }, (_, i) => post(traffic(), `poster-${i}`)),
      watch(traffic()),
      heads.watch(traffic()),
      watch(traffic()),
      administer(traffic()),
      ...[1, 2].map((number) => keepBooks(traffic(), `bookkeeper-${number}`)),
      adopt(traffic()),
      postTokens(traffic(), 'tokens'),
      ...[1, 2, 3].map((number) => resetQuotas(traffic(), `reset-${number}`)),
    ]
    const faults = await injectFaults(cluster, makeRandom(random.below(2 ** 32)), areFaultsOver)
    await Promise.all(clients)
    await Promise.all(proxies.map((proxy) => proxy.close()))

    await untilUp(cluster)
    await adoptAll({ history }, cluster.instances[0]!.url)
    await checkTotals(cluster, history)
    const owner = cluster.connect()
    await heads.check(owner)
    await checkQuotas(owner, cluster, history)
    for (const { url } of cluster.instances) await checkSources(owner, url, history)
    const findings = await checkLog(owner, history)
    await owner.end()
    findings.violations.push(...(await verify(cluster)))
    const log = await cluster.readServerLog()
    if (/deadlock detected/.test(log)) findings.violations.push('a deadlock in the database')
    for (const { errors } of cluster.instances) {
      const failed = /^.*(batch failed|unexpected|TypeError).*$/im.exec(errors)?.[0]
      if (failed) findings.violations.push(`an instance: ${failed.slice(0, 500)}`)
    }
    return {
      options,
      faults,
      answersLost: proxies.reduce((sum, { lost }) => sum + lost, 0),
      counts: history.counts,
      heads: heads.count,
      longestOutageMs: Math.round(history.longestOutageMs),
      ...findings,
    }
  } finally {
    await cluster.stop()
    await dataDir.remove()
  }
}

/** Returns what an integrity check of the whole database finds. */
async function verify(cluster: Cluster): Promise<string[]> {
  const { signal } = new AbortController()
  const { first } = await verifyDatabase(cluster.address, { signal, onProgress: () => {} })
  return first.map(({ check, at, expected, found }) => `${at} (${check}): ${expected}, ${found}`)
}

/** Checks resets, and what all instances show of quotas. */
async function checkQuotas(owner: Sql, cluster: Cluster, history: History): Promise<void> {
  const quotas = await Quotas.read(owner, (what) => history.violate(what))
  quotas.checkSent(history)
  quotas.checkTaken()
  for (const { url } of cluster.instances) await quotas.checkUsed(url)
}

/** Waits until every instance is ready again: the last fault may have ended just now. */
async function untilUp(cluster: Cluster): Promise<void> {
  for (const instance of cluster.instances) {
    for (let tries = 0; ; tries++) {
      const answer = await readReady(instance.url)
      if (answer === null) break
      if (tries === 600) {
        throw new Error(`${instance.url} is not ready after a minute: ${answer} ${instance.errors}`)
      }
      await Bun.sleep(100)
    }
  }
}

/** Returns null if an instance is ready, or what it answers. */
async function readReady(url: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/health/ready`)
    return response.ok ? null : await response.text()
  } catch (error) {
    return String(error)
  }
}

/** Checks that all instances report the same total, at least all acked, at most all sent. */
async function checkTotals(cluster: Cluster, history: History): Promise<void> {
  const totals = await Promise.all(
    cluster.instances.map(async ({ url }) => {
      const response = await fetch(`${url}/admin/apikey-stats/summary`, {
        headers: { authorization: `Bearer ${TOKENS.admin}` },
      })
      if (!response.ok) {
        history.violate(`after the traffic: ${response.status} ${await response.text()}`)
        return Number.NaN
      }
      return ((await response.json()) as { total_requests: number }).total_requests
    }),
  )
  const [total = Number.NaN] = totals
  if (totals.some((other) => other !== total))
    history.violate(`after the traffic: ${totals.join(', ')}`)
  const least = history.ackedRequests - history.reversingRequests
  if (!(total >= least && total <= history.sentRequests)) {
    history.violate(`after the traffic: ${total}, acknowledged at least ${least}`)
  }
}
