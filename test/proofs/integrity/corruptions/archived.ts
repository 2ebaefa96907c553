import { BYTE, corruptionsOf, is, LETTER, LOW_BIT, MICROSECOND, PLUS_1 } from './corruption.ts'

/**
 * Changes of the list of archived segments, at the first one. They need an archive, so
 * test/retention/verify.db.test.ts makes them.
 */
export const ARCHIVED_CORRUPTIONS = corruptionsOf(
  'archived_segments',
  {
    at: "concat('archived_segments ', shard, '/', first_position)",
    where: 'shard = 0 and first_position = 0',
    foundBy: 'archive',
  },
  {
    shard: is('another', 'shard + 99'),
    first_position: LOW_BIT,
    end_position: PLUS_1,
    file_name: LETTER,
    file_bytes: PLUS_1,
    index_sha256: BYTE,
    first_recorded_at: MICROSECOND,
    last_recorded_at: MICROSECOND,
    written_at: [{ ...MICROSECOND, foundBy: null }],
    leaving_at: [{ ...MICROSECOND, foundBy: null }],
    left_at: [is('none', 'null'), { ...MICROSECOND, foundBy: null }],
    restored_at: [{ ...is('now', 'now()'), foundBy: null }],
  },
)
