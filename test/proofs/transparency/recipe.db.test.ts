import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { editLog, insertEmptyFlushes } from '../../support/events.ts'
import { startTestService, type TestService, TOKENS } from '../../support/service.ts'

const python = Bun.which('python3')
const document = readFileSync(
  join(import.meta.dir, '../../../docs/explanation/transparency.md'),
  'utf8',
)
const recipe = /```python\n([\s\S]*?)```/.exec(document)?.[1] ?? ''

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.end())

async function runRecipe() {
  const run = Bun.spawn([python!, '-c', recipe, `${service.url}/audit/log/0`, TOKENS.auditor], {
    stdout: 'pipe',
    stderr: 'pipe',
  })
  return { stdout: await run.stdout.text(), stderr: await run.stderr.text() }
}

async function waitForHead(size: number): Promise<void> {
  for (;;) {
    const note = await (await service.fetch('auditor', '/audit/log/0/checkpoint')).text()
    if (Number(note.split('\n')[1]) === size) return
    await Bun.sleep(50)
  }
}

test.skipIf(python === null)(
  'the recipe of docs/explanation/transparency.md computes the root and finds a changed event',
  async () => {
    expect((await runRecipe()).stdout).toStartWith('stats.example.com/audit/log/0: 0 entries')
    let events = 0
    for (const count of [1, 254, 1, 1, 300, 3]) {
      await insertEmptyFlushes(service.database.owner, 0, count)
      events += count
      await waitForHead(events)
      expect((await runRecipe()).stdout).toStartWith(
        `stats.example.com/audit/log/0: ${events} entries make the root`,
      )
    }
    await editLog(
      service.database.owner,
      (sql) => sql`update events set source = 'else' where shard = 0 and position = 3`,
    )
    expect((await runRecipe()).stderr).toContain('the entries make another root')
  },
)
