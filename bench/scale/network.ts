import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { putCatalog } from '../sections/ingest.ts'
import type { BenchServer } from '../server.ts'
import { makeBody } from '../workload.ts'
import { makeOriginFolder, postFlush, settle, startInstances } from './instances.ts'
import { startRelay } from './relay.ts'

/** Bytes a flush, of a client and of the database; what projector and tree send is among them. */
export type NetworkRow = {
  keys: number
  httpIn: number
  httpOut: number
  databaseIn: number
  databaseOut: number
}

/** Clients that post at once, as many as make batches. */
const CLIENTS = 16

/** Counts the bytes of so many flushes through relays before the service and its database. */
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
      const a = (bytes: number) => bytes / flushes
      rows.push({
        keys: count,
        httpIn: a(httpIn),
        httpOut: a(httpOut),
        databaseIn: a(databaseIn),
        databaseOut: a(databaseOut),
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
