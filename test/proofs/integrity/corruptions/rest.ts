import { BIT, BYTE, corruptionsOf, is, LETTER, MICROSECOND, REFUSED } from './corruption.ts'

const EVENT = "shard || '/' || position"
const CHECKPOINT = "concat('checkpoints ', shard, '/', projection, '/', generation)"

/** A change of the checkpoint of a projection in shard 0 that nothing finds. */
const unnoticed = (change: string, expression: string, projection = 'usage') => {
  const where = `shard = 0 and projection = '${projection}'`
  return [{ ...is(change, expression), where, foundBy: null }]
}

/** Changes of projections, checkpoints, parked events and shards. */
export const PROGRESS_CORRUPTIONS = [
  ...corruptionsOf(
    'projections',
    {
      at: "'projections ' || projection",
      where: "projection = 'provider_group_counters'",
      foundBy: 'checkpoints',
    },
    {
      projection: LETTER,
      generation: BIT,
      version: BIT,
      rebuilt_at: [{ ...is('another time', "'2026-01-01'"), foundBy: null }],
    },
  ),
  ...corruptionsOf(
    'checkpoints',
    {
      at: CHECKPOINT,
      where: "shard = 0 and projection = 'api_key_counters'",
      foundBy: 'checkpoints',
    },
    {
      shard: BIT,
      projection: LETTER,
      generation: BIT,
      position: [
        BIT,
        is('one less', 'position - 1'),
        {
          ...is('a high bit of usage', '(position # (1::bigint << 40))'),
          where: "shard = 0 and projection = 'usage'",
        },
        {
          ...is('a high bit of snapshots', '(position # (1::bigint << 40))'),
          where: "shard = 0 and projection = 'snapshots'",
        },
      ],
      has_backdated: [
        { ...is('false', 'false'), where: "shard = 0 and projection = 'usage'" },
        { ...is('true where nothing is', 'true'), foundBy: null },
      ],
      // Nothing was counted on that day or in that month, nor backdated.
      daily_before: unnoticed('a day later', "daily_before + interval '1 day'"),
      daily_through: [{ ...BIT, where: "shard = 0 and projection = 'usage'", foundBy: null }],
      daily_moved: unnoticed('a day earlier', "daily_moved - interval '1 day'"),
      monthly_before: unnoticed('a month later', "monthly_before + interval '1 month'"),
      monthly_through: [{ ...BIT, where: "shard = 0 and projection = 'usage'", foundBy: null }],
      monthly_moved: unnoticed('a month earlier', "monthly_moved - interval '1 month'"),
      // Then adoptions read the log.
      unknown_before: unnoticed('now', 'now()', 'bookkeeping'),
      unknown_deleted: unnoticed('now', 'now()', 'bookkeeping'),
      // Then readers add up usage.
      periods_position: unnoticed('none', 'null'),
    },
  ),
  ...corruptionsOf(
    'parked_events',
    { at: EVENT, foundBy: 'parked' },
    { shard: BIT, position: BIT, reason: LETTER },
  ),
  ...corruptionsOf(
    'shards',
    { at: "'shards ' || shard", where: 'shard = 0', foundBy: 'shards' },
    {
      shard: BIT,
      catalog_position: BIT,
      catalog_sha256: BYTE,
      act_position: BIT,
      not_before: [{ ...is('another time', "'2026-01-01'"), foundBy: null }],
    },
  ),
  // It decides which snapshots are kept.
  ...corruptionsOf(
    'provider_group_snapshots',
    { at: "'provider_group_snapshots'", where: 'cost is not null', foundBy: null },
    { cost: BIT },
  ),
]

const TOKEN = { at: "'tokens ' || name", where: "name = 'proxy-2'", foundBy: 'tokens' as const }
const VERIFICATION = { at: "'verifications ' || id", foundBy: 'verifications' as const }
const MIGRATION = {
  at: "'migrations ' || number",
  where: 'number = 3',
  foundBy: 'migrations' as const,
}

/** A tile with one more hash. */
const MORE = 'hashes || sha256(hashes)'

/** Changes of tables that are not recomputed from events, and of the tiles. */
export const OTHER_CORRUPTIONS = [
  ...corruptionsOf('tokens', TOKEN, {
    name: LETTER,
    role: is('another role', "'admin'"),
    token_sha256: BYTE,
    created_at: MICROSECOND,
    revoked_at: [MICROSECOND, is('not revoked', 'null')],
    row_sha256: BYTE,
  }),
  ...corruptionsOf('migrations', MIGRATION, {
    number: BIT,
    name: LETTER,
    sha256: LETTER,
    applied_at: [{ ...MICROSECOND, foundBy: null }],
  }),
  ...corruptionsOf(
    'tiles',
    {
      at: "concat('tiles ', shard, '/', level, '/', number)",
      where: 'shard = 0',
      foundBy: 'tiles',
    },
    {
      shard: [{ ...BIT, foundBy: 'shards', at: "'tiles ' || shard" }],
      level: BIT,
      number: BIT,
      hashes: [
        {
          change: 'one byte',
          value: () => 'set_byte(hashes, 96, get_byte(hashes, 96) # 1)',
          where: 'shard = 0 and level = 0 and number = 0',
          foundBy: 'leaf',
          at: "'0/3'",
        },
        {
          ...is(
            'one byte of a leaf that has a root',
            'set_byte(hashes, 96, 1 # get_byte(hashes, 96))',
          ),
          where: 'shard = 0 and level = 0 and number = 0',
          at: "concat('tiles ', shard, '/1/0')",
        },
        {
          ...BYTE,
          change: 'one byte of a root',
          where: 'shard = 0 and level = 1',
        },
        { ...is('a leaf more', MORE), where: 'shard = 0 and level = 0 and number = 1' },
        { ...is('a leaf more than 256', MORE), where: 'shard = 0 and level = 0', ...REFUSED },
        { ...is('a root more', MORE), where: 'shard = 0 and level = 1' },
      ],
    },
  ),
  ...corruptionsOf('verifications', VERIFICATION, {
    id: BIT,
    due_at: is('one where there was none', 'started_at'),
    started_at: MICROSECOND,
    finished_at: MICROSECOND,
    positions: LETTER,
    events: BIT,
    problems: BIT,
    report: is('one blank', "(report::text || ' ')::json"),
    row_sha256: BYTE,
  }),
  ...corruptionsOf(
    'rebuilds',
    { at: "'rebuilds'", foundBy: null },
    {
      projection: LETTER,
      generation: BIT,
      state: LETTER,
      started_at: MICROSECOND,
      seen_at: MICROSECOND,
      finished_at: MICROSECOND,
      events_folded: BIT,
      events_total: BIT,
      drifted_rows: BIT,
      drift: is('another', "'{}'"),
      error: LETTER,
    },
  ),
  ...corruptionsOf(
    'sessions',
    { at: "'sessions'", foundBy: null },
    { id_sha256: BYTE, token_name: LETTER, token_proof: BYTE, expires_at: MICROSECOND },
  ),
  ...corruptionsOf(
    'instances',
    { at: "'instances'", foundBy: null },
    {
      id: LETTER,
      version: LETTER,
      migration: BIT,
      started_at: MICROSECOND,
      seen_at: MICROSECOND,
    },
  ),
  ...['accepted_days', 'accepted_values', 'accepted_counts'].flatMap((table) =>
    corruptionsOf(
      table,
      { at: `'${table}'`, foundBy: null },
      {
        ...{ shard: BIT, day: is('a day later', 'day + 1') },
        ...(table !== 'accepted_days' && { kind: LETTER, name: LETTER }),
        ...(table === 'accepted_values' && { value: LETTER }),
        ...(table === 'accepted_counts' && { accepted: BIT }),
      },
    ),
  ),
  ...corruptionsOf('source_folds', { at: "'source_folds'", foundBy: null }, { version: BIT }),
  ...corruptionsOf(
    'source_positions',
    { at: "'source_positions'", foundBy: null },
    { shard: BIT, position: BIT },
  ),
  ...corruptionsOf(
    'sources',
    { at: "'sources'", foundBy: null },
    {
      ...{ source: LETTER, api_key_flushes: BIT, key_flushes: BIT },
      ...{ is_ended: is('the opposite', 'not is_ended') },
      ...{ has_dropped: is('the opposite', 'not has_dropped') },
      ...{ recent: is('no time', "'{}'") },
      ...{ api_key_requests: is('one more', 'api_key_requests + 1') },
      ...{ api_key_successes: is('one more', 'api_key_successes + 1') },
      ...{ key_requests: is('one more', 'key_requests + 1') },
      ...{ key_tokens: is('one more', 'key_tokens + 1') },
    },
  ),
  ...corruptionsOf(
    'source_epochs',
    { at: "'source_epochs'", foundBy: null },
    {
      ...{ source: LETTER, epoch: LETTER, next: BIT, last_flush: MICROSECOND },
      ...{ missing: is('nothing', "'[]'"), is_ended: is('the opposite', 'not is_ended') },
    },
  ),
  ...corruptionsOf('rule_folds', { at: "'rule_folds'", foundBy: null }, { read_through: BIT }),
  ...corruptionsOf(
    'rule_events',
    { at: "'rule_events ' || position", foundBy: 'rules' },
    { position: BIT },
  ),
  ...corruptionsOf(
    'crossings',
    {
      at: "concat('crossings ', rule, '/', subject_kind, '/', subject_id)",
      foundBy: 'rules',
    },
    { rule: LETTER, subject_kind: LETTER, subject_id: LETTER, position: BIT },
  ),
  ...corruptionsOf(
    'webhooks',
    { at: "'webhooks'", foundBy: null },
    {
      name: [{ ...LETTER, ...REFUSED }],
      ...{ url: LETTER, secret: LETTER, previous_secret: LETTER },
      ...{ previous_until: MICROSECOND, is_enabled: is('the opposite', 'not is_enabled') },
      ...{ created_at: MICROSECOND, queued_through: BIT, failures: BIT },
    },
  ),
  ...corruptionsOf(
    'webhook_deliveries',
    { at: "'webhook_deliveries'", foundBy: null },
    {
      webhook: [{ ...LETTER, ...REFUSED }],
      ...{ position: BIT, state: is('delivered', "'delivered'"), attempts: BIT },
      ...{ next_attempt_at: MICROSECOND, last_attempt_at: MICROSECOND, finished_at: MICROSECOND },
      ...{ status: BIT, error: LETTER },
    },
  ),
  ...corruptionsOf(
    'tree_heads',
    { at: "'tree_heads'", foundBy: null },
    { shard: BIT, origin: LETTER, size: BIT, note: LETTER },
  ),
]
