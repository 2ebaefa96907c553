import { Type } from '@sinclair/typebox'
import { CHECKS } from '../../proofs/integrity/problem.ts'
import { Cursor, strict, VerificationLimit } from '../params.ts'

export const VerificationsQuery = Type.Object(
  { limit: Type.Optional(VerificationLimit), cursor: Type.Optional(Cursor) },
  strict,
)

const time = Type.String({ format: 'date-time' })
const orNull = <Schema extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Integer>>(
  schema: Schema,
) => Type.Union([schema, Type.Null()])

export const StartedBody = Type.Object({ id: Type.Integer(), started_at: time })

const ProblemModel = Type.Object(
  {
    check: Type.Union(CHECKS.map((check) => Type.Literal(check))),
    at: Type.String({ description: 'An event, such as `0/41`, or a table and the key of a row' }),
    expected: Type.String(),
    found: Type.String(),
  },
  { title: 'VerificationProblem' },
)

const ReportModel = Type.Object(
  {
    positions: Type.String({ description: 'The position of the last checked event per shard' }),
    events: Type.Integer(),
    problems: Type.Integer(),
    first: Type.Array(ProblemModel, { description: 'The first 1000 problems' }),
    sampled: Type.Optional(
      Type.Boolean({
        description:
          'True if only a sample of a large archive was read, and no projection was compared',
      }),
    ),
  },
  { title: 'VerificationReport' },
)

export const VerificationModel = Type.Object(
  {
    id: Type.Integer(),
    state: Type.Union(
      ['running', 'finished', 'failed', 'killed'].map((state) => Type.Literal(state)),
      {
        description:
          '`failed`: the check could not be completed; `killed`: the service stopped before it ' +
          'finished',
      },
    ),
    due_at: Type.Union([time, Type.Null()], {
      description: 'The scheduled time of a nightly verification; null for others',
    }),
    started_at: time,
    finished_at: orNull(time),
    positions: orNull(Type.String()),
    events: orNull(Type.Integer()),
    problems: orNull(Type.Integer()),
    report: Type.Union([ReportModel, Type.Null()]),
  },
  { title: 'Verification' },
)

export const VerificationsBody = Type.Object({
  items: Type.Array(VerificationModel),
  next_cursor: Type.Union([Type.String(), Type.Null()]),
})

export const EXAMPLE = {
  id: 7,
  state: 'finished',
  due_at: '2026-01-31T03:30:00.000Z',
  started_at: '2026-01-31T03:30:04.120Z',
  finished_at: '2026-01-31T03:31:40.312Z',
  positions: '0/41',
  events: 42,
  problems: 1,
  report: {
    positions: '0/41',
    events: 42,
    problems: 1,
    first: [
      {
        check: 'refold',
        at: 'api_key_counters 0/7',
        expected: '{"requests":10,"successes":9}',
        found: '{"requests":11,"successes":9}',
      },
    ],
  },
}
