import { expect, test } from 'bun:test'
import { chmod, mkdtemp, rm, statfs, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyCluster } from '../support/cluster.ts'
import { canMount, mountDisk, unmountDisk } from '../support/disk.ts'
import { TOKENS } from '../support/service.ts'
import { checkLog } from './check.ts'
import { Cluster, putCatalog } from './cluster.ts'
import { type Entry, History, KNOWN_KEYS, type Sent } from './history.ts'

const MEGABYTE = 1024 * 1024

test.skipIf(!canMount())(
  'while the disk is full flushes are answered 503, and nothing is lost (needs root)',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tallybook-disk-'))
    await chmod(folder, 0o755)
    mountDisk(folder, '200m')
    await copyCluster(join(folder, 'data'))
    const cluster = new Cluster(join(folder, 'data'), 1)
    try {
      await cluster.start(1)
      await putCatalog(cluster)
      const history = new History()
      const ballast = join(folder, 'ballast')
      const { bavail, bsize } = await statfs(folder)
      await writeFile(ballast, Buffer.alloc(Math.max(0, bavail * bsize - 24 * MEGABYTE)))

      const open = await postUntilFull(cluster, history)
      expect(history.counts.acked).toBeGreaterThan(0)
      await unlink(ballast)
      await cluster.restartDatabaseIfEnded()
      for (const sent of open) await postUntilAccepted(cluster, history, sent)
      // New flushes are accepted too.
      const sent = makeSent(history)
      await postUntilAccepted(cluster, history, sent)

      await expectSummary(cluster, history.ackedRequests)
      const owner = cluster.connect()
      const findings = await checkLog(owner, history)
      await owner.end()
      expect(findings.violations).toEqual([])
      expect([findings.lost, findings.doubled]).toEqual([0, 0])
    } finally {
      await cluster.stop()
      unmountDisk(folder)
      await rm(folder, { recursive: true, force: true })
    }
  },
  300_000,
)

function makeSent(history: History): Sent {
  // Many entries fill the disk quickly.
  const entries: Entry[] = Array.from({ length: 20_000 }, (_, i) => ({
    api_key_id: 1 + (i % KNOWN_KEYS),
    requests: 1 + (i % 7),
    success_requests: i % 2,
  }))
  const requests = entries.reduce((sum, one) => sum + one.requests, 0)
  const sent: Sent = {
    key: `flush-${history.sent.length}`,
    entries,
    requests,
    most: requests,
    ack: null,
    counted: false,
  }
  history.noteSent(sent)
  return sent
}

/** Posts until five flushes in a row were refused; returns all that were refused. */
async function postUntilFull(cluster: Cluster, history: History): Promise<Sent[]> {
  const open: Sent[] = []
  for (let refused = 0; refused < 5; ) {
    const sent = makeSent(history)
    const status = await post(cluster, history, sent)
    expect([200, 503]).toContain(status)
    if (status === 200) refused = 0
    else {
      refused++
      open.push(sent)
    }
  }
  return open
}

async function postUntilAccepted(cluster: Cluster, history: History, sent: Sent): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await post(cluster, history, sent)) === 200) return
    await Bun.sleep(100)
  }
  throw new Error(`${sent.key} is still refused`)
}

async function post(cluster: Cluster, history: History, sent: Sent): Promise<number> {
  const response = await fetch(`${cluster.instances[0]!.url}/internal/apikey-stats/flush`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.dp}`, 'idempotency-key': sent.key },
    body: JSON.stringify({ keys: sent.entries }),
  })
  const body = await response.text()
  if (response.status === 200) {
    history.noteAck(sent, { position: response.headers.get('tallybook-position')!, body })
  }
  return response.status
}

async function expectSummary(cluster: Cluster, requests: number): Promise<void> {
  const response = await fetch(`${cluster.instances[0]!.url}/admin/apikey-stats/summary`, {
    headers: { authorization: `Bearer ${TOKENS.admin}` },
  })
  expect(await response.json()).toMatchObject({ total_requests: requests })
}
