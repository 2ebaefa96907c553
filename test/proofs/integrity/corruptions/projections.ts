import {
  type Alteration,
  BIT,
  type Corruption,
  corruptionsOf,
  IN_ARRAY,
  is,
  LETTER,
  LETTER_IN_ARRAY,
  LOW_BIT,
  MICROSECOND,
  PARTITION,
  PLUS_1,
} from './corruption.ts'
import { DETAIL_CORRUPTIONS } from './details.ts'
import { UNKNOWN_CORRUPTIONS } from './unknown.ts'

const counters = (table: string, id: string, values: Record<string, Alteration>) =>
  corruptionsOf(
    table,
    { at: `'${table} ' || shard || '/' || ${id}`, foundBy: 'refold' },
    {
      shard: BIT,
      generation: PARTITION,
      [id]: id === 'token_hash' ? LETTER : BIT,
      ...values,
    },
  )

const usage = (table: string, id: string, values: string[]) =>
  corruptionsOf(
    table,
    { at: `concat('${table} ', shard, '/', ${id}, '/', quarter)`, foundBy: 'refold' },
    {
      shard: BIT,
      generation: PARTITION,
      [id]: id === 'token_hash' ? LETTER : BIT,
      quarter: [is('a day later', "quarter + interval '1 day'"), is('infinity', "'infinity'")],
      ...Object.fromEntries(values.map((value) => [value, PLUS_1])),
    },
  )

const IN_SOME_QUARTER = {
  ...is('a time where it is in none', "'2026-01-01'"),
  where: 'not isfinite(quarter)',
}

const backdated = (table: string, id: string, values: string[]) =>
  corruptionsOf(
    table,
    {
      at: `concat('${table} ', shard, '/', ${id}, '/', quarter, '/', position)`,
      foundBy: 'refold',
    },
    {
      shard: BIT,
      generation: BIT,
      [id]: id === 'token_hash' ? LETTER : BIT,
      quarter: [
        { ...is('a day later', "quarter + interval '1 day'"), where: 'isfinite(quarter)' },
        ...(/_(?:daily|monthly)_/.test(table) ? [] : [IN_SOME_QUARTER]),
      ],
      position: BIT,
      ...Object.fromEntries(values.map((value) => [value, PLUS_1])),
    },
  )

const snapshots = (
  table: string,
  page: [first: string, last: string, ids: string],
  values: string[],
) => {
  const isText = page[0] === 'first_hash'
  const inPage = `cardinality(${page[2]}) > 0`
  return corruptionsOf(
    table,
    {
      at: `concat('${table} ', shard, '/', position, '/', ${page[0]})`,
      where: inPage,
      foundBy: 'snapshots',
    },
    {
      shard: BIT,
      generation: PARTITION,
      position: LOW_BIT,
      [page[0]]: isText ? LETTER : BIT,
      [page[1]]: isText ? LETTER : BIT,
      [page[2]]: isText ? LETTER_IN_ARRAY : IN_ARRAY,
      ...Object.fromEntries(values.map((value) => [value, IN_ARRAY])),
    },
  )
}

const ENDED: (Alteration & Partial<Omit<Corruption, 'value'>>)[] = [
  { ...MICROSECOND, where: 'ended_at is not null' },
  { ...is('ended where it is not', "'2026-01-01'"), where: 'ended_at is null' },
  { ...is('infinity where it is not ended', "'infinity'"), where: 'ended_at is null' },
]

const catalog = (
  table: string,
  id: string,
  values: Record<string, Alteration | (Alteration & Partial<Omit<Corruption, 'value'>>)[]>,
) =>
  corruptionsOf(
    table,
    {
      at: `concat('${table} ', ${id}${table.endsWith('_versions') ? ", '/', position" : ''})`,
      foundBy: 'refold',
    },
    {
      generation: [BIT],
      [id]: id === 'token_hash' ? LETTER : BIT,
      ...(table.endsWith('_versions') ? { position: BIT } : {}),
      ...values,
      name: [
        { ...LETTER, where: "name <> ''" },
        { ...is('empty instead of none', "''"), where: 'name is null' },
      ],
      ended_at: ENDED,
    },
  )

const declared = (table: string, values: Parameters<typeof catalog>[2] = {}) => {
  const isVersions = table.endsWith('_versions')
  return corruptionsOf(
    table,
    { at: `concat('${table} ', name${isVersions ? ", '/', position" : ''})`, foundBy: 'refold' },
    {
      ...{ generation: BIT, name: LETTER, ...(isVersions && { position: BIT }) },
      ...{ ...values, ended_at: ENDED },
    },
  )
}

const optional = (column: string) => ({
  [column]: [
    { ...LETTER, where: `${column} is not null` },
    { ...is('none', 'null'), where: `${column} is not null` },
    { ...is('one where there is none', "'x'"), where: `${column} is null` },
  ],
})

const EXTERNAL_ID = optional('external_id')
const PERIOD = { ...optional('quota_period'), ...optional('quota_tz') }

const RATED = { requests: PLUS_1, successes: PLUS_1 }

/** Changes of the projections' tables, which readers see. */
export const PROJECTION_CORRUPTIONS = [
  ...counters('api_key_counters', 'api_key_id', RATED),
  ...counters('provider_group_counters', 'provider_group_id', RATED),
  ...counters('key_counters', 'token_hash', {
    requests: PLUS_1,
    tokens: PLUS_1,
    quota_used: PLUS_1,
    last_accessed_at: BIT,
  }),
  ...usage('api_key_usage', 'api_key_id', ['requests', 'successes']),
  ...usage('provider_group_usage', 'provider_group_id', ['requests', 'successes']),
  ...usage('key_usage', 'token_hash', ['requests', 'tokens', 'quota_used']),
  ...['backdated_usage', 'daily_usage', 'monthly_usage'].flatMap((name) => [
    ...backdated(`api_key_${name}`, 'api_key_id', ['requests', 'successes']),
    ...backdated(`provider_group_${name}`, 'provider_group_id', ['requests', 'successes']),
    ...backdated(`key_${name}`, 'token_hash', ['requests', 'tokens', 'quota_used']),
  ]),
  ...DETAIL_CORRUPTIONS,
  ...snapshots('api_key_snapshots', ['first_id', 'last_id', 'ids'], ['requests', 'successes']),
  ...snapshots(
    'provider_group_snapshots',
    ['first_id', 'last_id', 'ids'],
    ['requests', 'successes'],
  ),
  ...snapshots(
    'key_snapshots',
    ['first_hash', 'last_hash', 'token_hashes'],
    ['requests', 'tokens', 'quota_used', 'last_accessed_at'],
  ),
  ...catalog('provider_groups', 'id', EXTERNAL_ID),
  ...catalog('provider_group_versions', 'id', EXTERNAL_ID),
  ...catalog('api_keys', 'id', { group_id: BIT, ...EXTERNAL_ID }),
  ...catalog('api_key_versions', 'id', { group_id: BIT, ...EXTERNAL_ID }),
  ...catalog('keys', 'token_hash', { quota_limit: BIT, ...PERIOD }),
  ...catalog('key_versions', 'token_hash', { quota_limit: BIT, ...PERIOD }),
  ...declared('dimensions'),
  ...declared('dimension_versions'),
  ...declared('measures', { number: BIT, ...optional('unit') }),
  ...declared('measure_versions', { number: BIT, ...optional('unit') }),
  ...corruptionsOf(
    'acts',
    { at: "'acts ' || position", where: 'reversed_position is not null', foundBy: 'refold' },
    {
      generation: BIT,
      position: BIT,
      type: LETTER,
      reason: [LETTER, is('none', 'null')],
      reversed_shard: [BIT, is('none', 'null')],
      reversed_position: BIT,
      quarter: [
        {
          ...is('a quarter later', "quarter + interval '15 minutes'"),
          where: 'quarter is not null',
        },
        { ...is('none', 'null'), where: 'quarter is not null' },
        { ...is('one where there is none', "'2026-01-01'"), where: 'quarter is null' },
      ],
    },
  ),
  ...corruptionsOf(
    'quota_resets',
    { at: "concat('quota_resets ', token_hash, '/', position)", foundBy: 'refold' },
    { generation: BIT, token_hash: LETTER, position: BIT, reset_at: MICROSECOND },
  ),
  // A row that is missing, or of another period, is not used: readers add up usage.
  ...corruptionsOf(
    'key_period_usage',
    { at: "concat('key_period_usage ', shard, '/', token_hash)", foundBy: 'refold' },
    {
      shard: [{ ...BIT, foundBy: null }],
      generation: [{ ...BIT, foundBy: null }],
      token_hash: [{ ...LETTER, where: 'quota_used <> 0' }],
      start: [
        { ...is('infinity', "'infinity'"), where: 'quota_used <> 0' },
        { ...is('a day earlier', "start - interval '1 day'"), foundBy: null },
      ],
      quota_used: PLUS_1,
    },
  ),
  ...corruptionsOf(
    'openings',
    { at: "concat('openings ', kind, '/', account, '/', position)", foundBy: 'refold' },
    { generation: BIT, kind: LETTER, account: LETTER, position: BIT },
  ),
  ...UNKNOWN_CORRUPTIONS,
]
