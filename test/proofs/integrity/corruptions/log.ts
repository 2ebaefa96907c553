import { BIT, BYTE, corruptionsOf, is, LETTER, MICROSECOND, REFUSED } from './corruption.ts'

const EVENT = "shard || '/' || position"
const FLUSH = "type = 'ApiKeyStatsFlushed' and version = 2 and position > 0"

/** Changes of the log. */
export const LOG_CORRUPTIONS = corruptionsOf(
  'events',
  { at: EVENT, where: FLUSH, foundBy: 'leaf' },
  {
    // A segment accepts only rows of its shard.
    shard: [{ ...BIT, ...REFUSED }],
    // To a position without an event.
    position: [{ ...is('one bit', '(position # 4096)'), foundBy: 'position' }],
    type: [LETTER, { ...is('another type', "'KeyStatsFlushed'") }],
    version: [BIT, is('1 instead of 2', '1')],
    recorded_at: [
      MICROSECOND,
      { ...is('minus an hour', "recorded_at - interval '1 hour'"), foundBy: 'time' },
    ],
    source: LETTER,
    idempotency_key: [
      { ...LETTER, where: 'idempotency_key is not null' },
      { ...is('one where there was none', "'a'"), where: `${FLUSH} and idempotency_key is null` },
    ],
    payload: [
      {
        ...is('one digit', "regexp_replace(payload::text, '(\"requests\":\\[)1', '\\12')::json"),
        where: `${FLUSH} and payload::text ~ '"requests":\\[1'`,
        foundBy: 'payload',
      },
      { ...is('a blank at the end', "(payload::text || ' ')::json"), foundBy: 'payload' },
      {
        ...is('one letter of a name', 'replace(payload::text, \'"ids"\', \'"idt"\')::json'),
        foundBy: 'payload',
      },
    ],
    payload_sha256: [BYTE, { ...BYTE, change: 'one byte, too', foundBy: 'payload' }],
  },
)
