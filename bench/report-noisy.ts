import { round } from './measure.ts'
import type { Neighbour } from './noisy/neighbour.ts'
import { table } from './report-blocks.ts'
import type { NoisyRow } from './sections/noisy.ts'

const HEAD = [
  'request, connections',
  'flush p50',
  'p99',
  'live p50',
  'p99',
  'ready p50',
  'p99',
  'answers/s',
  '429, 503/s',
  'service ms',
  'database ms',
  'noise',
]

/** Renders how noisy clients slow another client down, as multiples of its times alone. */
export function renderNoisy(rows: NoisyRow[]): string {
  const baseline = rows.map(({ alone }) => alone.flush.p50Ms)
  const text = table(HEAD, rows.map(toCells))
  return `${text}\n\nAlone, a flush took ${round(Math.min(...baseline))} to ${round(Math.max(...baseline))} ms (p50).`
}

function toCells({ role, name, connections, noise, ...row }: NoisyRow): string[] {
  const { perSecond } = noise
  const refused = (perSecond[429] ?? 0) + (perSecond[503] ?? 0)
  const answered = Object.values(perSecond).reduce((sum, one) => sum + one, 0) - refused
  return [
    `${role}: ${name}, ${connections}`,
    ...ratiosOf('flush', row),
    ...ratiosOf('live', row),
    ...ratiosOf('ready', row),
    String(round(answered)),
    String(round(refused)),
    String(round(row.serviceMs)),
    String(round(row.databaseMs)),
    `${Math.round(row.noiseShare * 100)} %`,
  ]
}

/** Multiples of the time alone; above 3 in bold. */
function ratiosOf(client: keyof Neighbour, { alone, beside }: Pick<NoisyRow, 'alone' | 'beside'>) {
  return (['p50Ms', 'p99Ms'] as const).map((name) => {
    const ratio = beside[client][name] / alone[client][name]
    if (Number.isNaN(ratio)) return '–'
    return ratio > 3 ? `**${round(ratio)}×**` : `${round(ratio)}×`
  })
}
