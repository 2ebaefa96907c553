import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Layout, Location } from './instrument.ts'

/** How many ran, and how many there are. */
type Share = [covered: number, total: number]

type Shares = { statements: Share; branches: Share }

/** The shares of a file, and the locations that never ran. */
type FileResult = Shares & { hash: string; missed: Record<keyof Shares, Location[]> }

/** What ran in all of src, in each folder, and in each file. */
type Measurement = {
  total: Shares
  folders: Record<string, Shares>
  files: Record<string, FileResult>
}

/** What ran by number of shards (`1`, `4`), and with any number (`all`). */
export type Result = Record<string, Measurement>

/** Reads the counts of a run's processes. */
export function readResult(folder: string, layout: Layout): Result {
  const all = new Uint32Array(layout.counters)
  const result: Result = {}
  for (const name of readdirSync(folder).sort()) {
    const shards = /^counters-(\d+)$/.exec(name)?.[1]
    if (shards === undefined) continue
    const bytes = readFileSync(join(folder, name))
    const counters = new Uint32Array(new Uint8Array(bytes).buffer)
    counters.forEach((count, i) => {
      all[i]! += count
    })
    result[shards] = measure(layout, counters)
  }
  return { ...result, all: measure(layout, all) }
}

function measure(layout: Layout, counters: Uint32Array): Measurement {
  const files: Measurement['files'] = {}
  const folders: Measurement['folders'] = {}
  const total = nothing()
  for (const [path, { hash, offset, statements, branches }] of Object.entries(layout.files)) {
    const paths = branches.flat()
    const isMissed = (at: number) => counters[at] === 0
    const missed = {
      statements: statements.filter((_, i) => isMissed(offset + i)),
      branches: paths.filter((_, i) => isMissed(offset + statements.length + i)),
    }
    const shares: Shares = {
      statements: [statements.length - missed.statements.length, statements.length],
      branches: [paths.length - missed.branches.length, paths.length],
    }
    files[path] = { ...shares, hash, missed }
    const folder = path.split('/').slice(0, -1).slice(0, 2).join('/')
    folders[folder] ??= nothing()
    add(folders[folder], shares)
    add(total, shares)
  }
  return { total, folders, files }
}

const nothing = (): Shares => ({ statements: [0, 0], branches: [0, 0] })

function add(sum: Shares, { statements, branches }: Shares): void {
  sum.statements = [sum.statements[0] + statements[0], sum.statements[1] + statements[1]]
  sum.branches = [sum.branches[0] + branches[0], sum.branches[1] + branches[1]]
}

/** Formats a table of the folders of src, with the change in points since `earlier`, if given. */
export function toTable(measured: Measurement, earlier?: Measurement): string {
  const rows = [...Object.entries(measured.folders).sort(), ['all', measured.total] as const]
  const lines = rows.map(([name, { statements, branches }]) => {
    const before = name === 'all' ? earlier?.total : earlier?.folders[name]
    const cells = [
      toCell(statements, before?.statements, earlier),
      toCell(branches, before?.branches, earlier),
    ]
    return `${name.padEnd(20)}${cells.join('   ')}`.trimEnd()
  })
  const width = toCell([0, 1], undefined, earlier).length
  return [
    `${''.padEnd(20)}${'statements'.padStart(width)}   ${'branches'.padStart(width)}`,
    ...lines,
  ].join('\n')
}

function toCell(share: Share, before: Share | undefined, earlier: unknown): string {
  const counts = `${share[0]}/${share[1]}`.padStart(13)
  const cell = `${toPercent(share).toFixed(2).padStart(8)} %${counts}`
  if (earlier === undefined) return cell
  const points = before === undefined ? 0 : toPercent(share) - toPercent(before)
  const change = before === undefined ? 'new' : `${points < 0 ? '' : '+'}${points.toFixed(2)}`
  return `${cell}${change.padStart(8)}`
}

const toPercent = ([covered, total]: Share) => (total === 0 ? 100 : (100 * covered) / total)

/** Lists what ran in an earlier measurement and no longer does, one line per file. */
export function listLost(measured: Measurement, earlier: Measurement): string[] {
  return Object.entries(measured.files).flatMap(([path, file]) => {
    const before = earlier.files[path]
    if (before === undefined) return []
    const lost = (['statements', 'branches'] as const).flatMap((kind) => {
      // For another version of the file only counts can be compared, not locations.
      const isSame = before.hash === file.hash
      const gone = isSame
        ? file.missed[kind].filter((place) => !before.missed[kind].includes(place))
        : file.missed[kind].length > before.missed[kind].length
          ? [`${before.missed[kind].length} missed before, now ${file.missed[kind].join(', ')}`]
          : []
      return gone.length === 0 ? [] : [`${kind} ${gone.join(', ')}`]
    })
    return lost.length === 0 ? [] : [`${path}: ${lost.join('; ')}`]
  })
}
