import type { LoadedRow, Shards } from '../sections/shards.ts'
import { API_KEYS } from '../workload.ts'
import { type Prediction, predict } from './predict.ts'
import { distinct } from './rules.ts'
import { type Outcome, simulate } from './simulate.ts'
import type { UnitCosts } from './unit-costs.ts'

/** Bodies that a generator posts in turn. */
const BODIES = 64

const SIMULATED_SECONDS = 4

export type Compared = {
  measured: LoadedRow
  predicted: Prediction
  simulated: Outcome
  /** True if the unit costs are not fitted to it. */
  isUnseen: boolean
  /** Relative errors of flushes per second: 0.1 means 10 % too many. */
  predictedError: number
  simulatedError: number
}

/** Compares every measured load with the model and the simulation. */
export function compare({ loaded, cores }: Shards, costs: UnitCosts): Compared[] {
  return loaded.map((measured) => {
    const { shards, instances, keys, connections } = measured
    const keyCount = distinct(BODIES * keys, API_KEYS)
    const load = { shards, instances, keys, keyCount, connections, cores }
    const predicted = predict(costs, load)
    const simulated = simulate(costs, {
      ...load,
      posting: { kind: 'closed', connections },
      seconds: SIMULATED_SECONDS,
      seed: 1,
    })
    const error = ({ perSecond }: { perSecond: number }) => perSecond / measured.perSecond - 1
    return {
      measured,
      predicted,
      simulated,
      isUnseen: shards > 1 || instances > 1,
      predictedError: error(predicted),
      simulatedError: error(simulated),
    }
  })
}
