import type { Mutation } from './mutation.ts'

/** Faults of sources: who posts flushes, and which are missing. */
export const SOURCE_MUTATIONS: readonly Mutation[] = [
  {
    name: 'handed-over-unchecked',
    file: 'src/sources/sources.ts',
    find: '(await readIdentity(transaction, shard, end)) !== last',
    replace: "(await readIdentity(transaction, shard, end)) === ''",
    harm: 'Flushes that a failover has lost count as arrived.',
    tests: ['test/cluster/lost-commits', 'test/sources'],
  },
  {
    name: 'folded-twice',
    file: 'src/sources/sources.ts',
    find: '    if (moved.length > 0) await writePositions(transaction, moved)\n',
    replace: '',
    harm: 'Each flush of a source counts again in every round.',
    tests: ['test/sources', 'test/property/histories'],
  },
  {
    name: 'small-gap-not-missing',
    file: 'src/sources/epoch.ts',
    find: 'if (first > next) missing',
    replace: 'if (first > next + 1) missing',
    harm: 'A single lost flush is not reported.',
    tests: ['test/sources', 'test/property/histories'],
  },
  {
    name: 'silent-after-shutdown',
    file: 'src/sources/read.ts',
    find: '  not s.is_ended\n',
    replace: '  s.is_ended is not null\n',
    harm: 'A proxy that was shut down is reported as silent.',
    tests: ['test/sources', 'test/console/sources'],
  },
  {
    name: 'dropped-epoch-misses-all',
    file: 'src/sources/epochs.ts',
    find: 'beginAt(this.hasDropped ? first : 0)',
    replace: 'beginAt(0)',
    harm: 'A client that has had many epochs is reported to miss flushes that have arrived.',
    tests: ['test/sources'],
  },
]
