import { parseArgs } from 'node:util'
import { ASSUMED, type Assumptions, type Demand } from './demand.ts'

/** What each number is, and where it stands if it isn't given; null: it has to be. */
const NUMBERS = {
  dps: { of: 'data-plane proxies', value: null },
  interval: { of: 'seconds between two flushes of one', value: null },
  keys: { of: 'keys in a flush', value: null },
  retention: { of: 'days that the log goes back', value: null },
  'key-count': { of: 'API keys in use', value: 10_000 },
  utilisation: { of: 'how busy anything may be, 0 to 1', value: ASSUMED.utilisation },
  spare: { of: 'instances to spare', value: ASSUMED.spare },
  reads: { of: 'reads of the summary a second', value: ASSUMED.readsPerSecond },
  'node-cores': { of: 'cores of a database node', value: ASSUMED.nodeCores },
  'node-disk': { of: 'MB/s that its disk writes', value: ASSUMED.nodeDiskMbPerSecond },
  'node-connections': { of: 'connections it takes', value: ASSUMED.nodeConnections },
  network: { of: 'Mbit/s of a machine', value: ASSUMED.networkMbitPerSecond },
  'coordinator-share': {
    of: "of an append's fixed cost, to pass it on",
    value: ASSUMED.coordinatorShare,
  },
  'round-trip': { of: 'ms between two database nodes', value: ASSUMED.roundTripMs },
  'price-core': { of: 'price of a core for an hour', value: ASSUMED.price.coreHour },
  'price-disk': { of: 'of a GB on SSD for a month', value: ASSUMED.price.diskGbMonth },
  'price-archive': { of: 'of a GB in an archive for a month', value: ASSUMED.price.archiveGbMonth },
  'price-network': { of: 'of a GB of network', value: ASSUMED.price.networkGb },
} as const
type Name = keyof typeof NUMBERS
const NAMES = Object.keys(NUMBERS) as Name[]

export type PlanArguments = {
  demand: Demand
  assumed: Assumptions
  json: boolean
  /** Of measured results; null: those of docs/measurements/performance. */
  results: string | null
}

/** What a plan is asked for; a text where that can't be understood, with how to ask. */
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
    if (!isSensible(name, number)) return `--${name} can't be ${text}.\n${USAGE}`
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
    const { of, value } = NUMBERS[name]
    return `  --${name.padEnd(18)}${of}${value === null ? '' : ` (${value})`}`
  }),
].join('\n')
