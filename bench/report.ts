import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Chart, drawChart } from './chart.ts'
import { round } from './measure.ts'
import { evaluate } from './reach.ts'
import { renderBeside } from './report-beside.ts'
import { number, table, thousands, under, writeBlocks } from './report-blocks.ts'
import { renderCollect } from './report-collect.ts'
import { renderConsole } from './report-console.ts'
import { renderDimensions } from './report-dimensions.ts'
import { ingestChart, renderIngest } from './report-ingest.ts'
import { renderNoisy } from './report-noisy.ts'
import { renderScale, scaleCharts } from './report-scale.ts'
import { renderTransparency } from './report-transparency.ts'
import { FOLDER, type Results } from './results.ts'
import type { Executable, Footprint } from './sections/footprint.ts'
import { PAGES, type Page, type ReadRow } from './sections/reads.ts'
import type { RebuildRow } from './sections/rebuild.ts'

const DOCUMENT = join(FOLDER, '../performance.md')
const RELIABILITY_DOCUMENT = join(FOLDER, '../reliability.md')
const SCALE_DOCUMENT = join(FOLDER, '../scale.md')

/** Writes the tables to docs/measurements, between their markers, and the charts to files. */
export async function writeReport(results: Results): Promise<void> {
  await writeBlocks(DOCUMENT, renderBlocks(results))
  await writeBlocks(SCALE_DOCUMENT, renderScale(results))
  await writeBlocks(RELIABILITY_DOCUMENT, renderReliability(results))
  await mkdir(FOLDER, { recursive: true })
  const charts = { ...makeCharts(results), ...scaleCharts(results) }
  for (const [name, chart] of Object.entries(charts)) {
    await writeFile(join(FOLDER, `${name}.svg`), drawChart(chart))
  }
}

/** Returns the same tables as one text. */
export const renderReport = (results: Results) =>
  Object.values({
    ...renderBlocks(results),
    ...renderScale(results),
    ...renderReliability(results),
  }).join('\n\n')

function renderReliability({ noisy }: Results): Record<string, string> {
  return noisy ? { noisy: under(noisy.conditions, renderNoisy(noisy.result)) } : {}
}

function renderBlocks(results: Results): Record<string, string> {
  const { ingest, rebuild, beside, reads, footprint, transparency, dimensions, console } = results
  const { collect } = results
  const blocks: Record<string, string> = { reach: renderReach(results) }
  if (ingest) blocks.ingest = under(ingest.conditions, renderIngest(ingest.result))
  if (rebuild) blocks.rebuild = under(rebuild.conditions, renderRebuild(rebuild.result))
  if (beside) blocks.beside = under(beside.conditions, renderBeside(beside.result))
  if (reads) blocks.reads = under(reads.conditions, renderReads(reads.result))
  if (footprint) blocks.footprint = under(footprint.conditions, renderFootprint(footprint.result))
  if (transparency) {
    blocks.transparency = under(transparency.conditions, renderTransparency(transparency.result))
  }
  if (dimensions) {
    blocks.dimensions = under(dimensions.conditions, renderDimensions(dimensions.result))
  }
  if (collect) blocks.collect = under(collect.conditions, renderCollect(collect.result))
  if (console) blocks.console = under(console.conditions, renderConsole(console.result))
  return blocks
}

function renderReach(results: Results): string {
  return table(
    ['ratio within one run', 'goal', 'measured', ''],
    evaluate(results).map(({ what, goal, measured, reached }) => [
      what,
      goal,
      measured === null ? '–' : String(measured),
      measured === null ? '' : reached ? 'reached' : '**not reached**',
    ]),
  )
}

function renderRebuild(rows: RebuildRow[]): string {
  return table(
    [
      'events',
      'counts',
      'fold s',
      'counts/s folded',
      'bare reader s',
      'of the bare reader',
      'GROUP BY s',
      '× GROUP BY',
      'peak MB',
    ],
    rows.map((row) => [
      thousands(row.events),
      thousands(row.counts),
      number(row.foldSeconds),
      thousands(row.counts / row.foldSeconds),
      number(row.bareSeconds),
      number(row.bareSeconds / row.foldSeconds),
      row.groupBySeconds === null ? '–' : number(row.groupBySeconds),
      row.groupBySeconds === null ? '–' : `${round(row.groupBySeconds / row.foldSeconds)}×`,
      number(row.foldPeakMb),
    ]),
  )
}

function renderReads(rows: ReadRow[]): string {
  const events = [...new Set(rows.map((row) => row.events))]
  const cell = (page: Page, count: number, underIngest: boolean) => {
    const row = rows.find(
      (one) => one.page === page && one.events === count && one.underIngest === underIngest,
    )!
    return `${number(row.p50Ms)} / ${number(row.p99Ms)}`
  }
  return table(
    ['p50 / p99 in ms', ...events.map((count) => `${thousands(count)} events`)],
    [false, true].flatMap((underIngest) =>
      (Object.keys(PAGES) as Page[]).map((page) => [
        `${page}, ${underIngest ? 'under ingest' : 'idle'}`,
        ...events.map((count) => cell(page, count, underIngest)),
      ]),
    ),
  )
}

function renderFootprint({ log, service, start, executable }: Footprint): string {
  return [
    table(
      ['keys per flush', 'bytes in the log per count', 'per flush'],
      log.map(({ keysPerFlush, bytesPerCount }) => [
        thousands(keysPerFlush),
        number(bytesPerCount),
        thousands(bytesPerCount * keysPerFlush),
      ]),
    ),
    '',
    table(
      ['API keys', 'MB after the start', 'MB after counting all', 'start s'],
      service.map(({ apiKeys, startedMb, foldedMb, startSeconds }) => [
        thousands(apiKeys),
        number(startedMb),
        number(foldedMb),
        number(startSeconds),
      ]),
    ),
    '',
    `\`serve\` with its embedded database: ${number(start.first)} s on the first start, ` +
      `${number(start.second)} s on the next.`,
    ...(executable ? ['', renderExecutable(executable)] : []),
  ].join('\n')
}

const renderExecutable = ({ megabytes, archiveMegabytes, start }: Executable) =>
  `As an executable of ${number(megabytes)} MB, with ${number(archiveMegabytes)} MB of PostgreSQL: ` +
  `${number(start.first)} s and ${number(start.second)} s.`

function makeCharts({ ingest, rebuild, reads, footprint }: Results): Record<string, Chart> {
  const charts: Record<string, Chart> = {}
  if (ingest) charts.ingest = ingestChart(ingest.result)
  if (rebuild) charts.rebuild = rebuildChart(rebuild.result)
  if (reads) charts.reads = readsChart(reads.result)
  if (footprint) charts.footprint = footprintChart(footprint.result)
  return charts
}

function rebuildChart(rows: RebuildRow[]): Chart {
  return {
    title: 'A whole log of flushes of 100 keys',
    x: 'events',
    y: 'seconds',
    series: [
      { name: 'fold (rebuild)', points: rows.map((row) => [row.events, row.foldSeconds]) },
      {
        name: 'SQL GROUP BY',
        points: rows.flatMap(({ events, groupBySeconds: seconds }): [number, number][] =>
          seconds === null ? [] : [[events, seconds]],
        ),
      },
      {
        name: 'bare reader',
        dashed: true,
        points: rows.map((row) => [row.events, row.bareSeconds]),
      },
    ],
  }
}

function readsChart(rows: ReadRow[]): Chart {
  return {
    title: 'Reads, p99 (idle: solid, under ingest: dashed)',
    x: 'events in the log',
    y: 'milliseconds',
    series: [false, true].flatMap((underIngest) =>
      (Object.keys(PAGES) as Page[]).map((page) => ({
        name: underIngest ? `${page}, ingest` : page,
        dashed: underIngest,
        points: rows
          .filter((row) => row.page === page && row.underIngest === underIngest)
          .map((row): [number, number] => [row.events, row.p99Ms]),
      })),
    ),
  }
}

function footprintChart({ log, service }: Footprint): Chart {
  return {
    title: 'Footprint',
    x: 'keys in a flush; API keys known to the service',
    y: 'bytes; MB; seconds',
    series: [
      { name: 'bytes per count', points: log.map((row) => [row.keysPerFlush, row.bytesPerCount]) },
      { name: 'MB after the start', points: service.map((row) => [row.apiKeys, row.startedMb]) },
      { name: 'MB after counting', points: service.map((row) => [row.apiKeys, row.foldedMb]) },
      { name: 'seconds to start', points: service.map((row) => [row.apiKeys, row.startSeconds]) },
    ],
  }
}
