import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { version } from '../../../package.json'
import type { InstanceRow } from '../../cluster/membership.ts'
import { type Replica, STATES } from '../../cluster/replicas/replica.ts'
import type { Pools, Sql } from '../../platform/postgres/pool.ts'
import { readServer } from '../../platform/postgres/server.ts'
import type { Unreadable } from '../../retention/file-checks.ts'
import { countSegments, SEGMENT_STATES } from '../../retention/list.ts'
import { countCrossings } from '../../rules/crossings.ts'
import { countTroubles } from '../../sources/read.ts'
import { countDeliveries } from '../../webhooks/outbox.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import { describe } from '../openapi.ts'
import { NoQuery } from '../params.ts'

type Options = {
  pools: Pools
  admission: Admission
  reads: { replicas: readonly Replica[] }
  shards: number
  log: { queueLength: number }
  ahead: { readonly seconds: number | null }
  archive: ArchiveState
  registration: { perDay: number; readToday(): Promise<number> } | null
  heads: { sizes: number[] }
  instances: {
    id: string
    startedAt: string
    shardsOf(id: string): number[]
    readAll(sql: Sql): Promise<InstanceRow[]>
  }
}

/** The state of the archive, as far as this instance knows it. */
export type ArchiveState = {
  archiver: { readonly failing: { since: string; reason: string } | null }
  checks: { readonly unreadable: Unreadable[] }
}

/** Serves GET /admin/status: the state of this instance, its database and its cluster. */
export function statusRoute(guard: ReturnType<typeof auth>, options: Options) {
  const { instances, registration } = options
  return new Elysia({ name: 'status' }).use(guard).get(
    '/admin/status',
    async (context) => {
      const { read } = options.pools
      const [database, rows, registered, sources, crossed, webhooks, segments] =
        await options.admission.admitRead(context, () =>
          Promise.all([
            readServer(read),
            instances.readAll(read),
            registration?.readToday(),
            countTroubles(read),
            countCrossings(read),
            countDeliveries(read),
            countSegments(read),
          ]),
        )
      return {
        version,
        instance: instances.id,
        started_at: instances.startedAt,
        shards: options.shards,
        queue_length: options.log.queueLength,
        log_ahead_seconds: options.ahead.seconds,
        signed: options.heads.sizes,
        registration:
          registration === null
            ? null
            : { registered_today: registered!, per_day: registration.perDay },
        sources: { silent: sources.silent, missing_flushes: sources.missing },
        rules: { crossed },
        webhooks,
        archive: {
          segments: segments.states,
          file_bytes: segments.fileBytes,
          failing: options.archive.archiver.failing,
          unreadable: options.archive.checks.unreadable,
        },
        database,
        instances: rows.map(({ migration: _, gone: __, ...row }) => ({
          ...row,
          owned_shards: instances.shardsOf(row.id),
          // The name of `owned_shards` before version 0.2.
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

const UnreadableModel = Type.Object({
  shard: Type.Integer(),
  first_position: Type.Integer(),
  file_name: Type.String(),
  since: Type.String({ format: 'date-time' }),
  reason: Type.String(),
})

const ReplicaBody = Type.Object(
  {
    state: Type.Union(
      STATES.map((state) => Type.Literal(state)),
      {
        description:
          'Reads go to a replica that is `used`; one that is `behind` serves only eventual reads',
      },
    ),
    why: Type.Union([Type.String(), Type.Null()], {
      description: 'Why the replica is `away` or `refused`',
    }),
    since: Type.String({ format: 'date-time' }),
    lag_events: Type.Integer({ description: 'Events that the replica lacks' }),
    lag_seconds: Type.Number({ description: 'The age of the oldest event that the replica lacks' }),
  },
  { title: 'Replica' },
)

const detail = describe({
  tag: 'Admin reads',
  summary: 'Get the state of the service',
  description:
    'Describes the instance that answers, its database and replicas, and all instances that use ' +
    'this database.',
  ok: {
    description: 'The state',
    schema: Type.Object(
      {
        version: Type.String({ description: 'The version of the service' }),
        instance: Type.String({ description: 'The id of the instance that answers' }),
        started_at: Type.String({ format: 'date-time' }),
        shards: Type.Integer(),
        queue_length: Type.Integer({ description: 'Flushes accepted but not yet in the log' }),
        log_ahead_seconds: Type.Union([Type.Number(), Type.Null()], {
          description:
            "By how much the time of the newest event is ahead of the database's clock. Checked " +
            'at least once a minute; 0 if it is less than a minute, null if unknown',
        }),
        signed: Type.Array(Type.Integer(), {
          description: 'Events that the newest signed tree head covers, by shard',
        }),
        sources: Type.Object({
          silent: Type.Integer({ description: 'Sources that have stopped posting flushes' }),
          missing_flushes: Type.Integer({
            description: 'Flushes that are missing in the sequences of their senders',
          }),
        }),
        rules: Type.Object({
          crossed: Type.Integer({ description: 'Subjects that cross a rule now' }),
        }),
        webhooks: Type.Object({
          pending: Type.Integer({ description: 'Deliveries that wait for an attempt' }),
          given_up: Type.Integer({
            description: 'Deliveries that were given up in the last 30 days',
          }),
          failing: Type.Integer({ description: 'Webhooks whose last attempts have failed' }),
        }),
        archive: Type.Object({
          segments: Type.Object(
            Object.fromEntries(SEGMENT_STATES.map((state) => [state, Type.Integer()])),
            { description: 'Segments of the log by state; see GET /admin/segments' },
          ),
          file_bytes: Type.Integer({ description: 'The size of all files in the archive' }),
          failing: Type.Union(
            [
              Type.Object({ since: Type.String({ format: 'date-time' }), reason: Type.String() }),
              Type.Null(),
            ],
            {
              description: 'Since when segments could not be moved, as far as this instance knows',
            },
          ),
          unreadable: Type.Array(UnreadableModel, {
            description: 'Segments whose file this instance could not read when it last tried',
          }),
        }),
        registration: Type.Union(
          [
            Type.Object({
              registered_today: Type.Integer({
                description: 'Unknown keys that all instances have registered since midnight UTC',
              }),
              per_day: Type.Integer({
                description: 'TALLYBOOK_REGISTER_PER_DAY; beyond it, unknown keys count nothing',
              }),
            }),
            Type.Null(),
          ],
          { description: 'null unless TALLYBOOK_UNKNOWN_KEYS is `register`' },
        ),
        database: Type.Object({
          version: Type.String({ description: 'The version of PostgreSQL' }),
          size_bytes: Type.Union([Type.Integer(), Type.Null()], {
            description: 'On Citus the size on all nodes; null while one of them does not answer',
          }),
          connections: Type.Integer({ description: 'Open connections of all clients' }),
          max_connections: Type.Integer(),
        }),
        replicas: Type.Array(ReplicaBody, {
          description: 'The servers of DATABASE_READ_URL, in that order',
        }),
        instances: Type.Array(
          Type.Object({
            id: Type.String(),
            version: Type.String(),
            started_at: Type.String({ format: 'date-time' }),
            seen_at: Type.String({
              format: 'date-time',
              description: 'The time of the last heartbeat; one is sent every second',
            }),
            live: Type.Boolean({
              description:
                'false if no heartbeat came for 3 s; the instance is listed for ten more minutes',
            }),
            owned_shards: Type.Array(Type.Integer(), {
              description: 'The shards that it folds and signs, as seen by the answering instance',
            }),
            tends: Type.Array(Type.Integer(), {
              deprecated: true,
              description: 'Replaced by `owned_shards`, which has the same value',
            }),
          }),
        ),
      },
      { title: 'Status' },
    ),
    example: {
      version,
      instance: '0b8f2a3e-7c1d-4e56-9a80-1f2e3d4c5b6a',
      started_at: '2026-01-31T12:00:00.000Z',
      shards: 1,
      queue_length: 0,
      log_ahead_seconds: 0,
      signed: [42],
      registration: { registered_today: 12, per_day: 10_000 },
      sources: { silent: 0, missing_flushes: 0 },
      rules: { crossed: 0 },
      webhooks: { pending: 0, given_up: 0, failing: 0 },
      archive: {
        segments: { open: 2, full: 0, written: 3, leaving: 0, archived: 12 },
        ...{ file_bytes: 4_073_717_760, failing: null, unreadable: [] },
      },
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
          version,
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
