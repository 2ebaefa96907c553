import { Type } from '@sinclair/typebox'
import { describe } from '../openapi.ts'
import {
  ConsistencyBody,
  EXAMPLE_HEAD,
  EXAMPLE_PROOF,
  InclusionBody,
  ReceiptBody,
} from './model.ts'

const tag = 'Transparency log'
const HASH = 'gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ='
const PUBLIC = 'Open to everyone where TALLYBOOK_LOG_PUBLIC is `true`.'
const bytes = Type.String({ format: 'binary' })

export const keysDetail = describe({
  tag,
  summary: 'The keys that verify the tree heads',
  description: `Verifier keys of C2SP signed-note, one a line, of all shards. ${PUBLIC}`,
  ok: {
    description: 'Keys',
    type: 'text/plain',
    schema: Type.String(),
    example:
      'stats.example.com/audit/log/0+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n',
  },
  errors: [401, 403, 503],
})

export const checkpointDetail = describe({
  tag,
  summary: 'The signed tree head of a shard',
  description: `A checkpoint of C2SP tlog-tiles; newer every second in which it grew. ${PUBLIC}`,
  ok: {
    description: 'A signed note',
    type: 'text/plain',
    schema: Type.String(),
    example: EXAMPLE_HEAD,
  },
  errors: [400, 401, 403, 404, 503],
})

export const tileDetail = describe({
  tag,
  summary: 'A tile of hashes, or the entries of one',
  description:
    '`tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]` of C2SP tlog-tiles, where `<N>` may ' +
    `have several parts (\`x001/x234/067\`). They never change. ${PUBLIC}`,
  ok: {
    description: 'Hashes of 32 bytes; or leaves, each after its length in two bytes',
    type: 'application/octet-stream',
    schema: bytes,
    example: '(256 hashes of 32 bytes)',
  },
  errors: [400, 401, 403, 404, 503],
})

export const inclusionDetail = describe({
  tag,
  summary: 'Proof that an event is in a tree',
  description: `The hashes of RFC 6962, section 2.1.1, from the leaf's sibling up. ${PUBLIC}`,
  ok: {
    description: 'The proof',
    schema: InclusionBody,
    example: { shard: 0, position: 41, tree_size: 42, leaf_hash: HASH, hashes: [HASH] },
  },
  errors: [400, 401, 403, 404, 503],
})

export const consistencyDetail = describe({
  tag,
  summary: 'Proof that a tree begins with an older one',
  description: `The hashes of RFC 6962, section 2.1.2. ${PUBLIC}`,
  ok: {
    description: 'The proof',
    schema: ConsistencyBody,
    example: { shard: 0, from: 40, to: 42, hashes: [HASH] },
  },
  errors: [400, 401, 403, 404, 503],
})

const proofFile = {
  description: 'A `.tlog-proof` file of C2SP; `extra` is the event, as a line',
  type: 'text/plain',
  schema: Type.String(),
  example: EXAMPLE_PROOF,
}

export const eventProofDetail = describe({
  tag,
  summary: 'An event with the proof that it is in the log',
  ok: proofFile,
  errors: [400, 401, 403, 404, 503],
  errorValues: { 503: ['not signed yet', 'database unavailable'] },
})

export const receiptDetail = describe({
  tag: 'Data plane',
  summary: 'A receipt for a flush',
  description:
    'The flush as it was recorded, with the proof that it is in the signed log, for who posted ' +
    'it. Waits until it is signed, a second or two. Kept, it shows whether the flush is ever ' +
    'dropped or changed.',
  body: { schema: ReceiptBody, example: { position: '0/41' } },
  ok: proofFile,
  errors: [400, 401, 403, 404, 413, 415, 503],
  errorValues: { 503: ['not signed yet', 'database unavailable'] },
})
