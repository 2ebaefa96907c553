import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { toEventLine } from '../../src/events/event-line.ts'
import { readHead, selectEvents } from '../../src/log/read.ts'
import { openPools } from '../../src/platform/postgres/pool.ts'
import { equalHashes } from '../../src/proofs/merkle/hash.ts'
import { readPeaks, readRoot } from '../../src/proofs/merkle/prove.ts'
import { integrateEvents } from '../../src/proofs/transparency/integrate.ts'
import { readTiles } from '../../src/proofs/transparency/tiles.ts'
import { CheckedFile } from '../../src/segment-files/fetch.ts'
import { putSegment } from '../../src/segment-files/put.ts'
import { Segment } from '../../src/segment-files/read.ts'
import { openDirectory } from '../../src/segment-files/stores/directory.ts'
import { verifySegment } from '../../src/segment-files/verify.ts'
import { parametersOf, timeoutOf } from '../property/runs.ts'
import { Session } from '../property/session.ts'
import { history } from '../property/steps.ts'
import { insertEvent } from '../support/events.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { inPages } from './events.ts'
import { useFolder } from './folder.ts'

// The log of a service, with events of many types, is the same in segments: every line, and the
// root that its tiles have.

const folder = useFolder()
const SHARD = 0
const EVERYTHING = { rows: 1_000_000, bytes: 2 ** 30 }
const steps = fc.tuple(history, history, history).map((parts) => parts.flat())

let service: TestService | null = null
afterAll(() => service?.end())

test(
  'segments of a log have its lines, and roots that its tiles confirm',
  async () => {
    service = await startTestService()
    const { database } = service
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const session = await Session.begin(service!, 1)
        for (const step of taken) await session.take(step)
      }),
      parametersOf(1),
    )
    await insertEvent(database.owner, { payload: '{\n"a": "ü"}\r\n' })
    const pools = openPools(database.address, 1)
    try {
      const head = await readHead(pools.read, SHARD)
      const log = await selectEvents(
        pools.read,
        { shard: SHARD, after: -1, through: head },
        EVERYTHING,
      )
      expect(new Set(log.map(({ type }) => type)).size).toBeGreaterThan(3)
      while ((await integrateEvents(database.owner, SHARD)) > 0);
      const tiles = (asked: Parameters<typeof readTiles>[2]) => readTiles(pools.read, SHARD, asked)
      const store = openDirectory(folder.path)
      const middle = Math.floor(log.length / 3)
      for (const [first, end] of [[0, middle] as const, [middle, log.length] as const]) {
        const name = `shard-0/${first}-${end}.segment`
        const peaks = await readPeaks(first, tiles)
        const plan = { shard: SHARD, first, end, origin: null, peaks }
        const put = await putSegment(store, name, plan, inPages(log.slice(first, end), 7))
        expect(put).toMatchObject({ kind: 'stored' })
        const file = new CheckedFile(store, name)
        const verified = await verifySegment(file, { shard: SHARD, first, end })
        if (verified.kind !== 'verified') throw new Error(verified.failure.reason)
        expect(equalHashes(verified.before, await readRoot(first, tiles))).toBe(true)
        expect(equalHashes(verified.root, await readRoot(end, tiles))).toBe(true)
        const segment = await Segment.open(file)
        const lines: string[] = []
        for await (const page of segment.readPages({ after: -1 })) {
          lines.push(...page.map((event) => toEventLine(event)))
        }
        expect(lines).toEqual(log.slice(first, end).map((event) => toEventLine(event)))
      }
    } finally {
      await pools.close()
    }
  },
  timeoutOf(10),
)
