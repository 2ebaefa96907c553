import type { TestDatabase } from './server.ts'

type Sql = TestDatabase['owner']

/** Appends so many empty flushes to a shard, as the owner. */
export async function appendMany(owner: Sql, shard: number, count: number): Promise<void> {
  await owner`
    insert into events (
      shard, position, type, version, recorded_at, source, payload, payload_sha256
    )
    select ${shard}, h.next + i, 'KeyStatsFlushed', 1, clock_timestamp(), 'dp', p.payload::json,
      sha256(p.payload::bytea)
    from generate_series(0, ${count}::integer - 1) i
      cross join (
        select coalesce(max(e.position), -1) + 1 as next from events e where e.shard = ${shard}
      ) h
      cross join (
        values ('{"hashes":[],"requests":[],"tokens":[],"last_accessed_at":[],"quota_tracked":[]}')
      ) p(payload)`
}

/** What only the owner of a database can do: changes what nothing may change. */
export async function editLog(owner: Sql, edit: (sql: Sql) => Promise<unknown>): Promise<void> {
  await owner`alter table events disable trigger user`
  await owner`alter table tiles disable trigger user`
  await edit(owner)
  await owner`alter table events enable trigger user`
  await owner`alter table tiles enable trigger user`
}
