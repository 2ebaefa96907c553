import { BIT, corruptionsOf, IN_ARRAY, is, LETTER, MICROSECOND, PLUS_1 } from './corruption.ts'

/** Changes of the tables of unknown keys. */
export const UNKNOWN_CORRUPTIONS = [
  ...corruptionsOf(
    'unknown_keys',
    {
      at: "concat('unknown_keys ', shard, '/', kind, '/', name)",
      where: "name <> ''",
      foundBy: 'refold',
    },
    {
      shard: BIT,
      generation: BIT,
      kind: LETTER,
      name: LETTER,
      number: [PLUS_1, { ...is('one more was given', 'number + 1'), where: "name = ''" }],
      requests: PLUS_1,
      flushes: PLUS_1,
      first_seen: MICROSECOND,
      last_seen: MICROSECOND,
    },
  ),
  ...corruptionsOf(
    'unknown_usage',
    {
      at: "concat('unknown_usage ', shard, '/', kind, '/', name, '/', quarter)",
      foundBy: 'refold',
    },
    {
      ...{ shard: BIT, generation: BIT, kind: LETTER, name: LETTER },
      quarter: [is('a day later', "quarter + interval '1 day'"), is('infinity', "'infinity'")],
      requests: PLUS_1,
      seconds: PLUS_1,
      last_accessed_at: BIT,
      flushes: PLUS_1,
    },
  ),
  ...corruptionsOf(
    'unknown_parts',
    {
      at: "'unknown_parts ' || concat_ws('/', shard, kind, name, quarter, combination)",
      foundBy: 'refold',
    },
    {
      ...{ shard: BIT, generation: BIT, kind: LETTER, name: LETTER },
      quarter: [is('a day later', "quarter + interval '1 day'")],
      ...{ combination: LETTER, requests: PLUS_1, seconds: PLUS_1 },
      measures: [{ ...IN_ARRAY, where: 'cardinality(measures) > 0' }],
    },
  ),
  ...corruptionsOf(
    'unknown_taken',
    { at: "concat('unknown_taken ', position, '/', kind, '/', name)", foundBy: 'refold' },
    {
      generation: BIT,
      position: BIT,
      kind: LETTER,
      name: LETTER,
      requests: PLUS_1,
      flushes: PLUS_1,
      group_id: [
        { ...BIT, where: 'group_id is not null' },
        { ...is('none', 'null'), where: 'group_id is not null' },
        { ...is('one where there is none', '1'), where: 'group_id is null' },
      ],
      quota_tracked: [
        { ...is('the other', 'not quota_tracked'), where: 'quota_tracked is not null' },
        { ...is('none', 'null'), where: 'quota_tracked is not null' },
        { ...is('one where there is none', 'true'), where: 'quota_tracked is null' },
      ],
    },
  ),
]
