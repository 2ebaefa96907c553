import { parseArgs } from 'node:util'
import { ASSUMED, type Assumptions, type Demand } from './demand.ts'

/** Meaning and default of each number; null if it is required. */
const NUMBERS = {
  dps: { meaning: 'data-plane proxies', value: null },
  interval: { meaning: 'seconds between two flushes of a proxy', value: null },
  keys: { meaning: 'keys in a flush', value: null },
  retention: { meaning: 'days of retention', value: null },
  'key-count': { meaning: 'API keys in use', value: 10_000 },
  utilisation: { meaning: 'maximum mean utilisation, 0 to 1', value: ASSUMED.utilisation },
  spare: { meaning: 'spare instances', value: ASSUMED.spare },
  reads: { meaning: 'reads of the summary per second', value: ASSUMED.readsPerSecond },
  'node-cores': { meaning: 'cores of a database node', value: ASSUMED.nodeCores },
  'node-disk': { meaning: 'MB/s that its disk can write', value: ASSUMED.nodeDiskMbPerSecond },
  'node-connections': { meaning: 'connections it accepts', value: ASSUMED.nodeConnections },
  network: { meaning: 'Mbit/s of a machine', value: ASSUMED.networkMbitPerSecond },
  'coordinator-share': {
    meaning: "share of an append's fixed cost to forward it",
    value: ASSUMED.coordinatorShare,
  },
  'round-trip': { meaning: 'ms between two database nodes', value: ASSUMED.roundTripMs },
  'price-core': { meaning: 'price of a core per hour', value: ASSUMED.price.coreHour },
  'price-disk': { meaning: 'price of a GB on SSD per month', value: ASSUMED.price.diskGbMonth },
  'price-archive': {
    meaning: 'price of a GB in an archive per month',
    value: ASSUMED.price.archiveGbMonth,
  },
  'price-network': { meaning: 'price of a GB of network traffic', value: ASSUMED.price.networkGb },
} as const
type Name = keyof typeof NUMBERS
const NAMES = Object.keys(NUMBERS) as Name[]

export type PlanArguments = {
  demand: Demand
  assumed: Assumptions
  json: boolean
  /** File with measured results; null for those of docs/measurements/performance. */
  results: string | null
}

/** Parses the arguments of a plan. Returns an error text with the usage if they are invalid. */
export function readPlanArguments(args: string[]): PlanArguments | string {
  const options = Object.fromEntries(NAMES.map((name) => [name, { type: 'string' as const }]))
  let values: Record<string, string | boolean | undefined>
  try {
    const parsed = parseArgs({
      args,
      options: { ...options, json: { type: 'boolean' }, results: { type: 'string' } },
    })
    values = parsed.values
  } catch (error) {
    return `${(error as Error).message}\n${USAGE}`
  }
  const numbers = {} as Record<Name, number>
  for (const name of NAMES) {
    const text = values[name]
    const number = text === undefined ? NUMBERS[name].value : Number(text)
    if (number === null) return `--${name} is missing.\n${USAGE}`
    if (!isSensible(name, number)) return `--${name} cannot be ${text}.\n${USAGE}`
    numbers[name] = number
  }
  return {
    demand: {
      dps: numbers.dps,
      intervalSeconds: numbers.interval,
      keys: numbers.keys,
      retentionDays: numbers.retention,
      keyCount: numbers['key-count'],
    },
    assumed: {
      utilisation: numbers.utilisation,
      spare: numbers.spare,
      readsPerSecond: numbers.reads,
      nodeCores: numbers['node-cores'],
      nodeDiskMbPerSecond: numbers['node-disk'],
      nodeConnections: numbers['node-connections'],
      networkMbitPerSecond: numbers.network,
      coordinatorShare: numbers['coordinator-share'],
      roundTripMs: numbers['round-trip'],
      price: {
        coreHour: numbers['price-core'],
        diskGbMonth: numbers['price-disk'],
        archiveGbMonth: numbers['price-archive'],
        networkGb: numbers['price-network'],
      },
    },
    json: values.json === true,
    results: typeof values.results === 'string' ? values.results : null,
  }
}

const MAY_BE_NOTHING = /^(reads|coordinator-share|round-trip|price-.*)$/

function isSensible(name: Name, number: number): boolean {
  if (!Number.isFinite(number) || number < 0) return false
  if (name === 'utilisation') return number > 0 && number <= 1
  if (name === 'spare') return Number.isInteger(number)
  return number > 0 || MAY_BE_NOTHING.test(name)
}

const USAGE = [
  'Usage: bun run bench plan --dps N --interval N --keys N --retention N [--json] [--results FILE]',
  ...NAMES.map((name) => {
    const { meaning, value } = NUMBERS[name]
    return `  --${name.padEnd(18)}${meaning}${value === null ? '' : ` (${value})`}`
  }),
].join('\n')
