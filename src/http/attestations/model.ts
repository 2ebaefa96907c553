import { Type } from '@sinclair/typebox'

const At = { shard: Type.Integer(), position: Type.Integer() }

export const MadeBody = Type.Object({ items: Type.Array(Type.Object(At)) })

const Table = Type.Object({
  table: Type.String(),
  position: Type.Integer({ description: 'The position of the last event that is included' }),
  from: Type.Optional(
    Type.String({ description: 'For usage only: the first 15-minute bucket that is included' }),
  ),
  rows: Type.Integer(),
  sha256: Type.String({ description: 'The digest of the rows, in hex' }),
})

const Totals = Type.Object({
  position: Type.Integer(),
  requests: Type.String({ description: 'In decimal digits, because a sum may exceed 2^53' }),
  successes: Type.String(),
})

export const AttestationsBody = Type.Object({
  items: Type.Array(
    Type.Object(
      {
        ...At,
        recorded_at: Type.String({ format: 'date-time' }),
        tables: Type.Array(Table),
        totals: Totals,
      },
      { title: 'Attestation' },
    ),
  ),
})

export const EXAMPLE = {
  shard: 0,
  position: 42,
  recorded_at: '2026-01-31T12:00:00.123456+00:00',
  tables: [
    {
      table: 'api_key_counters',
      position: 41,
      rows: 1,
      sha256: 'a9803e5f77b03e87cf232a8bd3551779953640aa29146e8e3695fa286bb0ce0c',
    },
  ],
  totals: { position: 41, requests: '10', successes: '9' },
}
