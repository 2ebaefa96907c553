import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { putCatalog } from '../sections/ingest.ts'
import type { BenchServer } from '../server.ts'
import { makeBody } from '../workload.ts'
import { makeOriginFolder, postFlush, settle, startInstances } from './instances.ts'
import { startRelay } from './relay.ts'

/** Bytes per flush, of clients and of the database, including those of projector and tree. */
export type NetworkRow = {
  keys: number
  httpIn: number
  httpOut: number
  databaseIn: number
  databaseOut: number
}

/** Concurrent clients: enough to form batches. */
const CLIENTS = 16

/** Counts the bytes of flushes with relays in front of the service and of its database. */
export async function measureNetwork(
  server: BenchServer,
  keys: number[],
  flushes: number,
): Promise<NetworkRow[]> {
  const address = await server.createDatabase('costs_network')
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-relay-'))
  const socket = `/.s.PGSQL.${address.port}`
  const database = startRelay({ unix: folder + socket }, { unix: address.host + socket })
  const origin = await makeOriginFolder()
  const through = { ...address, host: folder }
  const running = await startInstances(through, { shards: 1, instances: 1 }, origin)
  const url = new URL(running.children[0]!.url)
  const http = startRelay(
    { hostname: '127.0.0.1', port: 0 },
    { hostname: '127.0.0.1', port: Number(url.port) },
  )
  try {
    await putCatalog(url.origin)
    const rows: NetworkRow[] = []
    for (const count of keys) {
      await settle(running.children)
      for (const relay of [database, http]) relay.take()
      await postAll(`http://127.0.0.1:${http.port}`, count, flushes)
      const { to: httpIn, from: httpOut } = http.take()
      await settle(running.children)
      const { to: databaseIn, from: databaseOut } = database.take()
      const perFlush = (bytes: number) => bytes / flushes
      rows.push({
        keys: count,
        httpIn: perFlush(httpIn),
        httpOut: perFlush(httpOut),
        databaseIn: perFlush(databaseIn),
        databaseOut: perFlush(databaseOut),
      })
    }
    return rows
  } finally {
    await running.stop()
    for (const relay of [database, http]) relay.stop()
    for (const path of [folder, origin]) await rm(path, { recursive: true, force: true })
  }
}

async function postAll(url: string, keys: number, flushes: number): Promise<void> {
  let left = flushes
  const post = async () => {
    while (left-- > 0) await postFlush(url, makeBody(keys), false)
  }
  await Promise.all(Array.from({ length: CLIENTS }, post))
}
