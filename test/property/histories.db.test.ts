import { afterAll, beforeAll, test } from 'bun:test'
import fc from 'fast-check'
import { startTestService, type TestService } from '../support/service.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'
import { Session } from './session.ts'
import { history } from './steps.ts'

const runs = runsOf(500)

let service: TestService
let run = 0

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.end())

test(
  `every answer and every total is what the model says, in ${runs} histories`,
  async () => {
    const property = fc.asyncProperty(history, async (steps) => {
      // Shrinking tries a history again: each try has ids that none before it had.
      const session = await Session.begin(service, ++run)
      for (const step of steps) await session.take(step)
      await session.compareTotals()
    })
    await fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs),
)
