import { measureFsync } from '../scale/fsync.ts'
import { measureNetwork, type NetworkRow } from '../scale/network.ts'
import { measureReadCosts, type ReadCosts, type ReadOptions } from '../scale/reads.ts'
import { measureStorage, type StorageRow } from '../scale/storage.ts'
import type { BenchServer } from '../server.ts'

/** Costs measured one by one; the section `shards` measures flushes under load. */
export type Costs = {
  storage: StorageRow[]
  network: NetworkRow[]
  /** Milliseconds at each of FSYNC_SHARES. */
  fsyncMs: number[]
} & ReadCosts

export type CostsOptions = {
  /** Keys per flush, and flushes. */
  storage: [number, number][]
  network: { keys: number[]; flushes: number }
  reads: ReadOptions
  fsyncs: number
}

export async function measureCosts(server: BenchServer, options: CostsOptions): Promise<Costs> {
  const fsyncMs = await measureFsync(options.fsyncs)
  console.error('costs: fsync')
  const storage: StorageRow[] = []
  for (const point of options.storage) {
    storage.push(await measureStorage(server, point))
    console.error(`costs: storage, ${point[0]} keys`)
  }
  const { keys, flushes } = options.network
  const network = await measureNetwork(server, keys, flushes)
  console.error('costs: network')
  const readCosts = await measureReadCosts(server, options.reads)
  console.error('costs: reads')
  return { storage, network, fsyncMs, ...readCosts }
}
