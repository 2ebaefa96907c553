import { expect, test } from 'bun:test'
import { NETWORK_FAULTS, POOLS } from '../support/faulty-proxy.ts'
import { isFull } from '../support/full.ts'
import { failNetwork, type NetworkOptions } from './network.ts'
import { SHORT } from './network-limits.ts'

// The network between the service and its database fails, for one kind of connections or for all.
// Here each fault and each kind run once, with short time-outs; `bun run faults --network` runs
// each fault with each kind and the time-outs of production.

const OPTIONS = {
  seed: 1,
  // Longer than it takes to detect a dead connection and to give up on a new one.
  faultMs: 3_500,
  delayMs: { shortest: 20, longest: 600 },
  pauseMs: isFull ? 60 : 150,
  bounds: SHORT,
}

type Pair = Pick<NetworkOptions, 'fault' | 'purpose'>

const CHOSEN: Pair[] = [
  { fault: 'swallow', purpose: 'all' },
  { fault: 'swallow questions', purpose: 'control' },
  { fault: 'swallow answers', purpose: 'project' },
  { fault: 'hold', purpose: 'append' },
  { fault: 'delay', purpose: 'read' },
  { fault: 'cut', purpose: 'all' },
  { fault: 'reset', purpose: 'all' },
  { fault: 'half-open', purpose: 'session' },
  { fault: 'unanswered', purpose: 'instance' },
  { fault: 'refused', purpose: 'all' },
]
const EACH: Pair[] = NETWORK_FAULTS.flatMap((fault) =>
  [...POOLS, 'all' as const].map((purpose) => ({ fault, purpose })),
)

/** Campaigns at once: most of their time is spent waiting. */
const AT_ONCE = 5

const pairs = isFull ? EACH : CHOSEN
const groups = Array.from({ length: Math.ceil(pairs.length / AT_ONCE) }, (_, i) =>
  pairs.slice(i * AT_ONCE, (i + 1) * AT_ONCE),
)

async function expectUnharmed(options: NetworkOptions): Promise<void> {
  const { fault, purpose, hasOther } = options
  const report = await failNetwork(options)
  const harm = { violations: [], lost: 0, doubled: 0 }
  expect(report).toMatchObject({ fault, purpose, hasOther, ...harm })
  expect(report.acked).toBeGreaterThan(0)
}

test.each(groups.map((group) => [group]))(
  'every request ends, the service recovers, and no flush is lost or counted twice: %o',
  async (group) => {
    await Promise.all(group.map((pair) => expectUnharmed({ ...OPTIONS, ...pair, hasOther: false })))
  },
)

test.each(isFull ? (['swallow', 'hold', 'unanswered'] as const) : (['hold'] as const))(
  'the other instance takes over the shards of one whose network fails, and returns some: %s',
  async (fault) => {
    await expectUnharmed({ ...OPTIONS, fault, purpose: 'all', hasOther: true })
  },
)
