import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { version } from '../../../package.json'
import type { InstanceRow } from '../../cluster/membership.ts'
import { type Replica, STATES } from '../../cluster/replicas/replica.ts'
import type { Pools, Sql } from '../../platform/postgres/pool.ts'
import { readServer } from '../../platform/postgres/server.ts'
import type { auth } from '../auth.ts'
import { describe } from '../openapi.ts'
import { NoQuery } from '../params.ts'
import type { Places } from '../places.ts'

type Options = {
  pools: Pools
  places: Places
  reads: { replicas: readonly Replica[] }
  shards: number
  log: { queueLength: number }
  ahead: { readonly seconds: number | null }
  heads: { sizes: number[] }
  instances: {
    id: string
    startedAt: string
    shardsOf(id: string): number[]
    readAll(sql: Sql): Promise<InstanceRow[]>
  }
}

/** GET /admin/status: what runs here, on what. */
export function statusRoute(guard: ReturnType<typeof auth>, options: Options) {
  const { instances } = options
  return new Elysia({ name: 'status' }).use(guard).get(
    '/admin/status',
    async (context) => {
      const { read } = options.pools
      const [database, rows] = await options.places.take(context, () =>
        Promise.all([readServer(read), instances.readAll(read)]),
      )
      return {
        version,
        instance: instances.id,
        started_at: instances.startedAt,
        shards: options.shards,
        queue_length: options.log.queueLength,
        log_ahead_seconds: options.ahead.seconds,
        signed: options.heads.sizes,
        database,
        instances: rows.map(({ migration: _, gone: __, ...row }) => ({
          ...row,
          owned_shards: instances.shardsOf(row.id),
          // Its name in versions before 0.2.
          tends: instances.shardsOf(row.id),
        })),
        replicas: options.reads.replicas.map(({ state, why, since, lag }) => ({
          ...{ state, why, since, lag_events: lag.events, lag_seconds: lag.seconds },
        })),
      }
    },
    { roles: ['admin', 'auditor'], query: NoQuery, detail },
  )
}

const ReplicaBody = Type.Object(
  {
    state: Type.Union(
      STATES.map((state) => Type.Literal(state)),
      { description: 'Reads go to one that is `used`; eventual ones to one that is `behind`' },
    ),
    why: Type.Union([Type.String(), Type.Null()], { description: 'Why it is away or refused' }),
    since: Type.String({ format: 'date-time' }),
    lag_events: Type.Integer({ description: 'Events of the log that it lacks' }),
    lag_seconds: Type.Number({ description: 'Age of the oldest of these' }),
  },
  { title: 'Replica' },
)

const detail = describe({
  tag: 'Admin reads',
  summary: 'What runs here, on what',
  description: 'Of the instance that answers, its database, and all instances on it.',
  ok: {
    description: 'It runs',
    schema: Type.Object(
      {
        version: Type.String({ description: "The service's" }),
        instance: Type.String({ description: 'The one that answers' }),
        started_at: Type.String({ format: 'date-time' }),
        shards: Type.Integer(),
        queue_length: Type.Integer({ description: 'Flushes accepted and not in the log yet' }),
        log_ahead_seconds: Type.Union([Type.Number(), Type.Null()], {
          description:
            "By how much the newest event's time lies ahead of the database's clock, as of the " +
            'last look a minute ago at most; 0 below a minute, null where it is not known',
        }),
        signed: Type.Array(Type.Integer(), {
          description: 'Events that the newest signed tree head covers, by shard',
        }),
        database: Type.Object({
          version: Type.String({ description: "PostgreSQL's" }),
          size_bytes: Type.Union([Type.Integer(), Type.Null()], {
            description: 'On Citus of all nodes; null while one of them does not answer',
          }),
          connections: Type.Integer({ description: 'Open ones, of everybody' }),
          max_connections: Type.Integer(),
        }),
        replicas: Type.Array(ReplicaBody, {
          description: 'Servers of DATABASE_READ_URL, in its order',
        }),
        instances: Type.Array(
          Type.Object({
            id: Type.String(),
            version: Type.String(),
            started_at: Type.String({ format: 'date-time' }),
            seen_at: Type.String({
              format: 'date-time',
              description: 'When it last sent a heartbeat, which it does each second',
            }),
            live: Type.Boolean({
              description: 'false: it was silent for 3 s. It is listed for ten minutes more',
            }),
            owned_shards: Type.Array(Type.Integer(), {
              description: 'The shards that it folds and signs, as the answering instance sees it',
            }),
            tends: Type.Array(Type.Integer(), {
              deprecated: true,
              description: 'The same as `owned_shards`, which replaces it',
            }),
          }),
        ),
      },
      { title: 'Status' },
    ),
    example: {
      version: '0.1.0',
      instance: '0b8f2a3e-7c1d-4e56-9a80-1f2e3d4c5b6a',
      started_at: '2026-01-31T12:00:00.000Z',
      shards: 1,
      queue_length: 0,
      log_ahead_seconds: 0,
      signed: [42],
      database: {
        version: '18.4',
        size_bytes: 12_582_912,
        connections: 9,
        max_connections: 100,
      },
      replicas: [],
      instances: [
        {
          id: '0b8f2a3e-7c1d-4e56-9a80-1f2e3d4c5b6a',
          version: '0.1.0',
          started_at: '2026-01-31T12:00:00.000Z',
          seen_at: '2026-01-31T12:30:00.250Z',
          live: true,
          owned_shards: [0],
          tends: [0],
        },
      ],
    },
  },
  errors: [400, 401, 403, 503],
})
