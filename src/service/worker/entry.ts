/**
 * The worker: the other thread of a service. It runs work that would keep other requests waiting
 * too long, with the service's own code but on its own connections.
 */

import { DimensionLimits } from '../../dimensions/limits.ts'
import { PayloadError } from '../../events/columns.ts'
import { decodeEvent, type Event, UnknownEvent } from '../../events/event.ts'
import { INVALID_CATALOG, parseCatalog } from '../../http/catalog/model.ts'
import { putRows } from '../../http/catalog/put.ts'
import { isTooDense, TOO_DENSE } from '../../http/dense.ts'
import { parseFlush } from '../../http/flushes/model.ts'
import { callAppendBatch } from '../../log/append-call.ts'
import { Catalog } from '../../log/catalog/catalog.ts'
import { refreshCatalog } from '../../log/catalog/refresh.ts'
import { Log } from '../../log/log.ts'
import { readEvent as readStored } from '../../log/read.ts'
import type { EventPlace } from '../../log/visit.ts'
import { isUnavailable, TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import { openPools } from '../../platform/postgres/pool.ts'
import { type Content, contentOf, cutContent } from '../../read-model/projections/entry.ts'
import { Registrar } from '../../registration/registrar.ts'
import { NO_ARCHIVE, openArchive } from '../../retention/open.ts'
import { Segments } from '../../segments/create.ts'
import { extending } from '../../segments/extend.ts'
import { createActJobs } from './bookkeeping.ts'
import {
  type Jobs,
  sendError,
  type Unfit,
  type WorkerAnswer,
  type WorkerNotice,
  type WorkerRequest,
  type WorkerSettings,
} from './messages.ts'
import { RemoteProjector } from './remote-projector.ts'

declare const self: Worker

const notify = (message: WorkerNotice) => self.postMessage(message)

function createJobs(settings: WorkerSettings): Jobs {
  const { address, shards, intervals, registerPerDay, countedAtDays, dimensionValues } = settings
  // Sized for one shard: the worker does one thing at a time. Connections are opened when needed.
  const pools = openPools(address, 1, intervals.database)
  const archive = openArchive(address, pools, settings.archive ?? NO_ARCHIVE)
  const { append: sql, project: background } = pools
  const projector = new RemoteProjector(pools.read, notify)
  const catalog = new Catalog()
  const refresh = () => refreshCatalog(sql, catalog)
  const writer = { sql, catalog, refresh }
  const registrar =
    registerPerDay === null
      ? null
      : new Registrar({
          ...{ writer, perDay: registerPerDay },
          onLimit: (keys) => notify({ notice: 'limited', keys }),
        })
  const limits = new DimensionLimits({
    ...{ sql, background, dimensionValues },
    onOthers: (values) => notify({ notice: 'others', values }),
  })
  const segments = new Segments({ address, sql, segmentBytes: settings.segmentBytes })
  const log = new Log({
    sql,
    shards,
    catalog,
    refreshCatalog: refresh,
    intervals: intervals.log,
    ...(countedAtDays !== undefined && { countedAtDays }),
    ...(registrar && { registerUnknown: registrar.register }),
    limitDimensions: limits.limit,
    appendBatch: extending(segments, callAppendBatch),
    onRefused: (shard, error) => notify({ notice: 'refused', shard, error: sendError(error) }),
    onTaken: (shard) => notify({ notice: 'taken', shard }),
    onAppended: (shard, { firstPosition, recordedAt, events }) => {
      limits.noteAppended(shard, recordedAt, events)
      notify({ notice: 'appended', shard, firstPosition, events: events.length })
    },
  })
  const open = new Map<number, Iterator<Content>>()
  let opened = 0

  const readEvent = async ({ shard, position, payloadSha256 }: EventPlace): Promise<Event> => {
    const row = await readStored(sql, shard, position)
    if (row?.payloadSha256 !== payloadSha256)
      throw new TemporarilyUnavailable('log changed', 1, 'The log has lost events. Retry.')
    return decodeEvent(row.type, row.version, row.payload)
  }

  return {
    append: async ({ type, body, source, idempotencyKey, sequence }) => {
      const text = new TextDecoder().decode(body)
      if (isTooDense(text)) return TOO_DENSE
      const posted = parseFlush(type, text, registrar !== null, sequence)
      if ('error' in posted) return posted
      try {
        // The catalog has probably changed since the last append: refresh it now, not after a batch
        // that is rejected.
        await refresh()
      } catch (error) {
        if (isUnavailable(error)) return { kind: 'unavailable', reason: 'database' }
        throw error
      }
      return log.append(posted, source, idempotencyKey)
    },
    changeCatalog: async (body, source) => {
      const text = new TextDecoder().decode(body)
      if (isTooDense(text)) return { status: 400, ...TOO_DENSE }
      const posted = parseCatalog(text)
      if (typeof posted === 'string') {
        return { status: 400, error: INVALID_CATALOG, detail: posted }
      }
      await refresh()
      return putRows(writer, source, posted)
    },
    ...createActJobs({ pools, shards, projector, writer, ...intervals.adoption }),
    reached: async (id, isReached) => projector.settle(id, isReached),
    openEvent: (place) =>
      orUnfit(async () => {
        const event = await readEvent(place)
        open.set(++opened, cutContent(contentOf(event, place.recordedAt)))
        return opened
      }),
    nextPart: async (number) => open.get(number)!.next().value ?? null,
    closeEvent: async (number) => void open.delete(number),
    stop: async () => {
      await log.stop()
      await archive.close()
      await pools.close()
    },
  }
}

/** Returns why an event can't be folded instead of throwing it. */
async function orUnfit<Value>(read: () => Promise<Value>): Promise<Value | Unfit> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof PayloadError)) throw error
    return { unfit: error.message, isUnknown: error instanceof UnknownEvent }
  }
}

let jobs: Jobs

self.onmessage = async ({ data }: MessageEvent<WorkerSettings | WorkerRequest>) => {
  if (!('id' in data)) {
    jobs = createJobs(data)
    return
  }
  const { id, job, args } = data
  let answer: WorkerAnswer
  try {
    answer = { id, value: await (jobs[job] as (...args: unknown[]) => unknown)(...args) }
  } catch (error) {
    answer = { id, error: sendError(error) }
  }
  self.postMessage(answer)
}
