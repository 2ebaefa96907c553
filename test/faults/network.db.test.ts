import { expect, test } from 'bun:test'
import { NETWORK_FAULTS, POOLS } from '../support/faulty-proxy.ts'
import { isFull } from '../support/full.ts'
import { failNetwork, type NetworkOptions } from './network.ts'
import { SHORT } from './network-limits.ts'

// The network between the service and its database fails, for one kind of connections or for all.
// Here with short time-outs, each fault and each kind once; `bun run faults --network` tries each
// fault with each kind, and real ones.

const OPTIONS = {
  seed: 1,
  // Longer than a dead connection takes to be noticed, and a new one to be given up.
  faultMs: 5_000,
  delayMs: { shortest: 20, longest: 600 },
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

/** At once: what a campaign takes is mostly waiting. */
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
  'every request ends, the service comes back, and nothing is lost or doubled: %o',
  async (group) => {
    await Promise.all(group.map((pair) => expectUnharmed({ ...OPTIONS, ...pair, hasOther: false })))
  },
)

test.each(isFull ? (['swallow', 'hold', 'unanswered'] as const) : (['hold'] as const))(
  'an instance whose network fails hands its shards to the other, and gets some back: %s',
  async (fault) => {
    await expectUnharmed({ ...OPTIONS, fault, purpose: 'all', hasOther: true })
  },
)
