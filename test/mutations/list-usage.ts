import type { Mutation } from './mutation.ts'

/** Faults of usage at other times than now, and of its parts. */
export const USAGE_MUTATIONS: readonly Mutation[] = [
  {
    name: 'late-flush-where-it-arrived',
    file: 'src/events/instant.ts',
    find: 'startOfQuarterHour(time) === startOfQuarterHour(recordedAt) ? recordedAt : time',
    replace: 'time > recordedAt ? time : recordedAt',
    harm: 'After an outage the hour of recovery has a peak that never was, and the outage no usage.',
    tests: ['test/http/counted-at', 'test/property'],
  },
  {
    name: 'another-time-is-a-replay',
    file: 'src/events/flush.ts',
    find: 'event.type !== posted.type || event.data.counted_at !== posted.countedAt',
    replace: 'event.type !== posted.type',
    harm: 'A proxy that uses a key twice loses a flush, and nothing tells it.',
    tests: ['test/http/counted-at', 'test/property'],
  },
  {
    name: 'incomplete-block-ignored',
    file: 'src/read-model/queries/incomplete-block.ts',
    find: 'position >= 0 && !endsBlock(position)',
    replace: 'position < 0 && !endsBlock(position)',
    harm: 'What usage showed last Tuesday of late flushes, it no longer shows as of last Tuesday.',
    tests: ['test/http/counted-at', 'test/read-model/queries', 'test/property'],
  },
  {
    name: 'early-usage-not-audited',
    file: 'src/proofs/verifier/usage-range.ts',
    find: 'const DAYS_BEFORE = 36',
    replace: 'const DAYS_BEFORE = 30',
    harm: 'Usage that was invented for days before the first event is audited, and not found.',
    tests: ['test/proofs/verifier/usage-range', 'test/proofs/verifier'],
  },
  {
    name: 'empty-flush-has-entries',
    file: 'sql/views/flush_entries.sql',
    find: 'select coalesce(sum(c.length::bigint), 0) as entries',
    replace: 'select coalesce(sum(c.length::bigint), 1) as entries',
    harm: 'The view shows entries that nobody posted.',
    tests: ['test/http/counted-at', 'test/archive/parquet', 'test/property'],
  },
  {
    name: 'parts-of-first-group-only',
    file: 'src/read-model/projections/detail-totals.ts',
    find: 'all.sums[k] = addExact(all.sums[k] ?? 0, sum)',
    replace: 'all.sums[k] ??= sum',
    harm: 'The breakdown of everything lacks all groups but one.',
    tests: ['test/http/breakdown', 'test/property/parts'],
  },
  {
    name: 'reversal-doubles-measures',
    file: 'src/events/amounts.ts',
    find: 'values: signed(values.filter((_, i) => combination[i] !== null)),',
    replace: 'values: values.filter((_, i) => combination[i] !== null),',
    harm: 'The cost of a flush that was reversed is there twice.',
    tests: ['test/bookkeeping', 'test/property'],
  },
  {
    name: 'posted-value-exported',
    file: 'src/archive/detail-maps.ts',
    find: 'counted_dimensions: asCounted[index]!,',
    replace: 'counted_dimensions: posted[index]!,',
    harm: 'Sums of a Parquet file by value differ from those of the API once a limit is reached.',
    tests: ['test/archive/parquet', 'test/archive'],
  },
]
