import { expect, test } from 'bun:test'
import { useCommands } from '../cli/one-process.ts'
import { useService } from '../support/service.ts'
import { expectExamples } from './guide.ts'

// The worked example of docs/guides/bookkeeping.md.

const service = useService({ shards: 1 })
const commands = useCommands()

test('every command of the guide answers what is shown below it', async () => {
  expect(await expectExamples('bookkeeping.md', service, commands)).toBeGreaterThan(15)
})
