import type { Mutation } from './mutation.ts'

/** Faults of moves from older systems, and of comparisons with them. */
export const MOVE_IN_MUTATIONS: readonly Mutation[] = [
  {
    name: 'moving-passes-as-equal',
    file: 'src/move-in/compare/judge.ts',
    find: 'low >= -tolerance && high <= tolerance',
    replace: 'low <= tolerance && high >= -tolerance',
    harm: 'The gate of a cut-over passes although a flush was lost while others arrived.',
    tests: ['test/move-in/judge', 'test/move-in/compare'],
  },
  {
    name: 'undone-batch-answered-as-repeated',
    file: 'src/move-in/move.ts',
    find: 'reversed > 0',
    replace: 'reversed > 99',
    harm: 'After --undo the same snapshot is moved without any balance.',
    tests: ['test/move-in/interrupted'],
  },
  {
    name: 'two-snapshots-opened',
    file: 'src/move-in/move.ts',
    find: 'batch.snapshot !== snapshot',
    replace: "batch.snapshot === ''",
    harm: 'Balances of two snapshots are mixed, some of them old and some new.',
    tests: ['test/move-in/interrupted'],
  },
  {
    name: 'no-snapshot-of-the-old-database',
    file: 'src/move-in/old-database.ts',
    find: "'isolation level repeatable read read only'",
    replace: "'read only'",
    harm: 'What the old system counts during the move is in some totals and not in others.',
    tests: ['test/move-in/old-database'],
  },
  {
    name: 'remaining-as-limit',
    file: 'src/move-in/systems/new-api.ts',
    find: 'toWhole(row.remaining, at) + used',
    replace: 'toWhole(row.remaining, at)',
    harm: 'Tokens of New API get what remains as their limit, and lose what they used once more.',
    tests: ['test/move-in/new-api'],
  },
  {
    name: 'deleted-rows-come-back',
    file: 'src/move-in/catalog.ts',
    find: 'if (!isDeleted || before.get(ref)?.ended_at',
    replace: 'if (isDeleted || before.get(ref)?.ended_at',
    harm: 'Keys that the old system has deleted count again, and the others are retired.',
    tests: ['test/move-in/new-api', 'test/move-in/interrupted'],
  },
]
