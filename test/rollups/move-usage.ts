/** Moves usage that is older than some days and months, again and again, until it is killed. */
import { openPools, type ServerAddress } from '../../src/platform/postgres/pool.ts'
import { readAttestedUsage } from '../../src/proofs/attestations/newest.ts'
import { type KeptUnits, rollUp } from '../../src/rollups/keep-rolled-up.ts'

const [address, shards, kept] = JSON.parse(process.argv[2]!) as [ServerAddress, number, KeptUnits]
const pools = openPools(address, shards)
const readAttested = (shard: number) => readAttestedUsage(pools.read, shard)
console.log('moving')
for (;;) {
  for (let shard = 0; shard < shards; shard++) {
    await rollUp({ sql: pools.project, kept, readAttested }, shard)
  }
}
