import { beforeAll, expect, test } from 'bun:test'
import { readHeads } from '../../../src/log/read.ts'
import { createCheckpoints } from '../../../src/read-model/projector/checkpoint.ts'
import { insertEmptyFlushes } from '../../support/events.ts'
import { checkpointsOf, foldOnce } from '../../support/fold.ts'
import { useDatabase, usePools } from '../../support/server.ts'
import { verify } from './history.ts'

const database = useDatabase()
const pools = usePools(database)
beforeAll(() => createCheckpoints(pools.project))

test('a checkpoint behind the log is no problem if it has fewer digits', async () => {
  await insertEmptyFlushes(database.owner, 0, 10)
  const { position } = await foldOnce(pools.project, 0, await checkpointsOf(pools.project, 0))
  expect(position).toBe(9)
  await insertEmptyFlushes(database.owner, 0, 1)
  expect((await readHeads(database.owner))[0]).toBe(10)
  expect(await verify(database)).toMatchObject({ problems: 0, first: [] })
})
