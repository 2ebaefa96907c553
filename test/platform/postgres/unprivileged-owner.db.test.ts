import { expect, test } from 'bun:test'
import type { ServerAddress } from '../../../src/platform/postgres/pool.ts'
import { createDatabase } from '../../support/server.ts'
import { startTestService } from '../../support/service.ts'

const as = (address: ServerAddress, user: string): ServerAddress => {
  if (!('url' in address)) return { ...address, user }
  const url = new URL(address.url)
  url.username = user
  return { url: url.href }
}

test('a database owner who is not a superuser can start the service', async () => {
  const database = await createDatabase({ empty: true })
  const { owner } = database
  const user = `app_${process.pid}`
  const [name] = await owner`
    select current_database() as name, current_setting('server_version_num')::int as version`
  await owner.unsafe(`create role ${user} login createrole`)
  await owner.unsafe(`alter database ${name!.name} owner to ${user}`)
  // As if this user had created the role, which from PostgreSQL 16 on only allows granting it.
  const rights = name!.version >= 160_000 ? 'with admin true, inherit false, set false' : ''
  await owner.unsafe(`grant tallybook_service to ${user} ${rights}`)
  const service = await startTestService({ database, address: as(database.address, user) })
  try {
    const response = await service.post('/internal/apikey-stats/flush', {})
    expect(response.status).toBe(200)
  } finally {
    await service.stop()
    await owner.unsafe(`reassign owned by ${user} to current_user`)
    await owner.unsafe(`drop owned by ${user}`)
    await owner.unsafe(`drop role ${user}`)
    await database.drop()
  }
})
