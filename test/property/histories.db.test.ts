import { test } from 'bun:test'
import fc from 'fast-check'
import { useService } from '../support/service.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'
import { Session } from './session.ts'
import { history } from './steps.ts'

// Of 14 faults planted in the service each was found by the 34th history, of three seeds.
const runs = runsOf(50)

const service = useService()
let run = 0

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
