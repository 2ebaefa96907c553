/** Points [x, y]; references that a series is compared with are dashed. */
export type Series = { name: string; points: [number, number][]; dashed?: boolean }

export type Chart = { title: string; x: string; y: string; series: Series[] }

const SIZE = { width: 760, height: 440 }
const PLOT = { left: 70, top: 46, right: 540, bottom: 384 }
const COLORS = [
  '#0b6e4f',
  '#c8553d',
  '#3066be',
  '#8d6a9f',
  '#b8860b',
  '#555555',
  '#2a9d8f',
  '#d46ab8',
  '#7a8b00',
]

/** Draws a line chart with logarithmic axes as SVG. */
export function drawChart({ title, x, y, series }: Chart): string {
  const points = series.flatMap((line) => line.points)
  const columns = decadesOf(points.map(([value]) => value))
  const rows = decadesOf(points.map(([, value]) => value))
  const toX = scale(columns, PLOT.left, PLOT.right)
  const toY = scale(rows, PLOT.bottom, PLOT.top)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" ` +
      `font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escapeText(title)}">`,
    `<rect width="${SIZE.width}" height="${SIZE.height}" fill="#fff"/>`,
    label(PLOT.left, 24, title, 'font-size="15" font-weight="600"'),
    ...columns.map(
      (value) =>
        line(toX(value), PLOT.top, toX(value), PLOT.bottom, '#ddd') +
        label(toX(value), PLOT.bottom + 18, format(value), 'text-anchor="middle" fill="#444"'),
    ),
    ...rows.map(
      (value) =>
        line(PLOT.left, toY(value), PLOT.right, toY(value), '#ddd') +
        label(PLOT.left - 8, toY(value) + 4, format(value), 'text-anchor="end" fill="#444"'),
    ),
    label((PLOT.left + PLOT.right) / 2, PLOT.bottom + 40, x, 'text-anchor="middle"'),
    label(
      18,
      (PLOT.top + PLOT.bottom) / 2,
      y,
      `text-anchor="middle" transform="rotate(-90 18 ${(PLOT.top + PLOT.bottom) / 2})"`,
    ),
    ...series.map((one, i) => drawSeries(one, i, toX, toY)),
    '</svg>\n',
  ].join('\n')
}

type Scale = (value: number) => number

function drawSeries({ name, points, dashed }: Series, i: number, toX: Scale, toY: Scale): string {
  const color = COLORS[i % COLORS.length]!
  const dash = dashed ? ' stroke-dasharray="5 4"' : ''
  const path = points.map(([x, y]) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`).join(' ')
  const at = PLOT.top + 10 + 20 * i
  return [
    `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"${dash}/>`,
    ...points.map(
      ([x, y]) =>
        `<circle cx="${toX(x).toFixed(1)}" cy="${toY(y).toFixed(1)}" r="3" fill="${color}"/>`,
    ),
    `<line x1="${PLOT.right + 14}" y1="${at}" x2="${PLOT.right + 40}" y2="${at}" stroke="${color}" ` +
      `stroke-width="2"${dash}/>`,
    label(PLOT.right + 46, at + 4, name, ''),
  ].join('\n')
}

/** The powers of ten from the one below the smallest value to the one above the largest. */
function decadesOf(values: number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(...values)) + 1e-9)
  const last = Math.max(Math.ceil(Math.log10(Math.max(...values)) - 1e-9), first + 1)
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i))
}

function scale(decades: number[], from: number, to: number): Scale {
  const first = Math.log10(decades[0]!)
  const last = Math.log10(decades.at(-1)!)
  return (value) => from + ((Math.log10(value) - first) / (last - first)) * (to - from)
}

const line = (x1: number, y1: number, x2: number, y2: number, color: string) =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${color}"/>`

const label = (x: number, y: number, text: string, attributes: string) =>
  `<text x="${x}" y="${y}" ${attributes}>${escapeText(text)}</text>`

const escapeText = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

/** Formats 1,000 as 1k and 10^6 as 1M. */
function format(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`
  if (value >= 1e3) return `${value / 1e3}k`
  return String(Number(value.toPrecision(1)))
}
