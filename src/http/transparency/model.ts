import { Type } from '@sinclair/typebox'
import { Position, Shard, strict, TreeSize } from '../params.ts'

export const ShardParams = Type.Object({ shard: Shard })

export const TileParams = Type.Object({
  shard: Shard,
  level: Type.String({ description: 'The level, from 0 to 63, or `entries`', examples: ['0'] }),
  number: Type.String({ description: 'The number, three digits per segment', examples: ['000'] }),
})

export const InclusionQuery = Type.Object(
  {
    shard: Type.Optional(Shard),
    position: Position,
    tree_size: Type.Optional(TreeSize('The size of the tree; default the newest signed size')),
  },
  strict,
)

export const ConsistencyQuery = Type.Object(
  {
    shard: Type.Optional(Shard),
    from: TreeSize('The size of the older tree'),
    to: Type.Optional(TreeSize('The size of the newer tree; default the newest signed size')),
  },
  strict,
)

const Hashes = Type.Array(Type.String({ description: 'SHA-256, in base64' }))

export const InclusionBody = Type.Object(
  {
    shard: Type.Integer(),
    position: Type.Integer(),
    tree_size: Type.Integer(),
    leaf_hash: Type.String({ description: 'The RFC 6962 leaf hash, in base64' }),
    hashes: Hashes,
  },
  { title: 'InclusionProof' },
)

export const ConsistencyBody = Type.Object(
  { shard: Type.Integer(), from: Type.Integer(), to: Type.Integer(), hashes: Hashes },
  { title: 'ConsistencyProof' },
)

export const ReceiptBody = Type.Object(
  {
    position: Type.String({
      description: 'The Tallybook-Position of the flush',
      pattern: '^\\d{1,4}/\\d{1,15}$',
    }),
  },
  { title: 'ReceiptRequest' },
)

export const EXAMPLE_HEAD =
  'stats.example.com/audit/log/0\n42\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
  '— stats.example.com/audit/log/0 Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5' +
  '/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n'

export const EXAMPLE_PROOF =
  'c2sp.org/tlog-proof@v1\nextra eyJzaGFyZCI6MCzigKZ9\nindex 41\n' +
  `gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\n${EXAMPLE_HEAD}`
