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
const PUBLIC = 'Needs no token if TALLYBOOK_LOG_PUBLIC is `true`.'
const bytes = Type.String({ format: 'binary' })

export const keysDetail = describe({
  tag,
  summary: 'Get the keys that verify tree heads',
  description: `C2SP signed-note verifier keys of all shards, one per line. ${PUBLIC}`,
  ok: {
    description: 'The verifier keys',
    type: 'text/plain',
    schema: Type.String(),
    example:
      'stats.example.com/audit/log/0+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n',
  },
  errors: [400, 401, 403, 503],
})

export const checkpointDetail = describe({
  tag,
  summary: 'Get the signed tree head of a shard',
  description: `A C2SP tlog-tiles checkpoint, renewed each second if the shard grew. ${PUBLIC}`,
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
  summary: 'Get a tile of hashes or entries',
  description:
    'Serves `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]` of C2SP tlog-tiles. `<N>` may ' +
    `have several segments (\`x001/x234/067\`). Tiles never change. ${PUBLIC}`,
  ok: {
    description: '32-byte hashes; or leaves, each preceded by its length in two bytes',
    type: 'application/octet-stream',
    schema: bytes,
    example: '(256 hashes of 32 bytes)',
  },
  errors: [400, 401, 403, 404, 503],
})

export const inclusionDetail = describe({
  tag,
  summary: 'Get the proof that an event is in a tree',
  description: `The audit path of RFC 6962, section 2.1.1, from the leaf's sibling up. ${PUBLIC}`,
  ok: {
    description: 'The proof',
    schema: InclusionBody,
    example: { shard: 0, position: 41, tree_size: 42, leaf_hash: HASH, hashes: [HASH] },
  },
  errors: [400, 401, 403, 404, 503],
  errorValues: { 400: ['invalid request', 'invalid query'] },
})

export const consistencyDetail = describe({
  tag,
  summary: 'Get the proof that a tree extends an older one',
  description: `The consistency proof of RFC 6962, section 2.1.2. ${PUBLIC}`,
  ok: {
    description: 'The proof',
    schema: ConsistencyBody,
    example: { shard: 0, from: 40, to: 42, hashes: [HASH] },
  },
  errors: [400, 401, 403, 404, 503],
  errorValues: { 400: ['invalid request', 'invalid query'] },
})

const proofFile = {
  description: 'A C2SP `.tlog-proof` file, whose `extra` is the event as a line of JSON',
  type: 'text/plain',
  schema: Type.String(),
  example: EXAMPLE_PROOF,
}

export const eventProofDetail = describe({
  tag,
  summary: 'Get an event with the proof that it is in the log',
  ok: proofFile,
  errors: [400, 401, 403, 404, 503],
  errorValues: { 503: ['not signed yet'] },
})

export const receiptDetail = describe({
  tag: 'Data plane',
  summary: 'Get a receipt for a flush',
  description:
    'Returns the recorded flush with the proof that it is in the signed log, to the token that ' +
    'posted it. Waits until a signed tree head covers the flush, which takes a second or two. ' +
    'Store the receipt: it proves any later removal or change of the flush.',
  body: { schema: ReceiptBody, example: { position: '0/41' } },
  ok: proofFile,
  errors: [400, 401, 403, 404, 413, 415, 503],
  errorValues: { 400: ['invalid request', 'invalid request body'], 503: ['not signed yet'] },
})
