import { BIT, BYTE, corruptionsOf, is, PLUS_1 } from './corruption.ts'

/** Changes of the list of segments, at the one with events. */
export const SEGMENT_CORRUPTIONS = corruptionsOf(
  'segments',
  {
    at: "concat('segments ', shard, '/', first_position)",
    where: 'shard = 0 and first_position = 0',
    foundBy: 'shards',
  },
  {
    shard: BIT,
    first_position: BIT,
    end_position: BIT,
    // The key of the next event isn't packed.
    packed_through: [
      { ...PLUS_1, at: "concat(shard, '/', packed_through)", foundBy: 'idempotency' },
    ],
  },
)

/** Changes of packed idempotency keys. */
export const PACKED_KEY_CORRUPTIONS = corruptionsOf(
  'packed_keys',
  { at: "concat('packed_keys ', shard, '/', encode(first, 'hex'))", foundBy: 'idempotency' },
  {
    shard: BIT,
    first: is('the highest bit', 'set_byte(first, 0, get_byte(first, 0) # 128)'),
    entries: [
      BYTE,
      is('a position', 'set_byte(entries, 12, get_byte(entries, 12) # 1)'),
      is('an entry more', "entries || substring(sha256('') for 8) || '\\x000000000001'"),
      { ...is('a byte more', "entries || '\\x00'"), foundBy: 'refused' },
    ],
  },
)
