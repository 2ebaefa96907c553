import type { Exact } from '../../../events/exact.ts'

const WIDTH = 96
const HEIGHT = 24

/** Draws the trend of a number as a line without axes. */
export function Sparkline({ values, label }: { values: Exact[] | undefined; label: string }) {
  if (values === undefined)
    return <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden />
  const numbers = values.map(Number)
  const max = Math.max(1, ...numbers)
  const step = WIDTH / Math.max(1, numbers.length - 1)
  const points = numbers.map(
    (value, i) =>
      `${(i * step).toFixed(1)},${(HEIGHT - 1 - (value / max) * (HEIGHT - 3)).toFixed(1)}`,
  )
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      <polygon points={`0,${HEIGHT} ${points.join(' ')} ${WIDTH},${HEIGHT}`} />
      <polyline points={points.join(' ')} />
    </svg>
  )
}
