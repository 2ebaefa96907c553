import { Counter, Gauge, Registry } from 'prom-client'
import type { Added, Collector } from './collector.ts'

type Noted = Added & { ignored: number; malformed: number }

const HELP: Record<keyof Noted, string> = {
  counted: 'Records that were counted.',
  duplicates: 'Records that had been counted before.',
  ignored: 'Records that are no requests to count.',
  malformed: 'Records that could not be read.',
}
const NAMES = Object.keys(HELP) as (keyof Noted)[]

/** Counters of the records of each input. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #counters: Record<keyof Noted, Counter>
  readonly #ids: Gauge

  constructor() {
    const registers = [this.#registry]
    const labelNames = ['input']
    const counters = NAMES.map((name) => {
      const options = { name: `tallybook_collect_${name}_total`, help: HELP[name] }
      return [name, new Counter({ ...options, labelNames, registers })]
    })
    this.#counters = Object.fromEntries(counters)
    const help = 'Ids of records that are kept.'
    this.#ids = new Gauge({ name: 'tallybook_collect_ids', help, registers })
  }

  note(input: string, noted: Noted): void {
    for (const name of NAMES) this.#counters[name].inc({ input }, noted[name])
  }

  /** These and the client's metrics in the text format of Prometheus. */
  async format(collector: Collector): Promise<string> {
    this.#ids.set(collector.ids)
    return (await this.#registry.metrics()) + collector.clientMetrics()
  }
}
