import { isStorable, LAST_UNIX_SECOND } from '../../../events/columns.ts'
import { formatCountOf } from '../format.ts'
import { CsvError, readCsv } from './read-csv.ts'

/** The columns of a file of balances. */
export const COLUMNS = [
  ...(['kind', 'id', 'requests', 'successes'] as const),
  ...(['tokens', 'quota_used', 'last_accessed_at'] as const),
] as const

type Column = (typeof COLUMNS)[number]

/** A file of balances with a row of each kind. */
export const EXAMPLE = `${COLUMNS.join(',')}
provider_group,1,1000,990,,,
api_key,7,1000,990,,,
key,3f08d2,3,,50,40,1700000000`

/** The name of each kind of row, and the columns it counts besides requests. */
const KINDS = {
  provider_group: { name: 'provider group', counts: ['successes'] },
  api_key: { name: 'API key', counts: ['successes'] },
  key: { name: 'token key', counts: ['tokens', 'quota_used', 'last_accessed_at'] },
} as const satisfies Record<string, { name: string; counts: readonly Column[] }>

type Kind = keyof typeof KINDS

type Rated = { id: number; total_requests: number; success_requests: number }

type Used = {
  token_hash: string
  request_count: number
  used_tokens: number
  quota_used: number
  last_accessed_at: number
}

/** Balances as POST /admin/balances takes them. A kind is absent if it has no rows. */
export type Balances = { provider_groups?: Rated[]; api_keys?: Rated[]; keys?: Used[] }

/** A row that was read, with the line on which it begins. */
class Row {
  constructor(
    readonly line: number,
    readonly kind: Kind,
    private readonly cells: Map<Column, string>,
  ) {}

  get id(): number | string {
    const text = this.#read('id')
    if (this.kind !== 'key') return this.#toWhole('id', text.trim(), 1)
    if (text === '') throw this.fault('id is empty; it is the hash of the token.')
    if (text.length > 255) throw this.fault('id has more than 255 characters.')
    if (!isStorable(text)) throw this.fault('id contains a NUL or a lone surrogate.')
    return text
  }

  count(column: Column): number {
    return this.#toWhole(column, this.#read(column).trim(), 0)
  }

  /** Unix seconds; 0 for never, or if the cell is empty. */
  get lastAccess(): number {
    const at = this.#read('last_accessed_at').trim() === '' ? 0 : this.count('last_accessed_at')
    if (at <= LAST_UNIX_SECOND) return at
    throw this.fault('last_accessed_at is after the year 9999; it has to be in Unix seconds.')
  }

  /** Throws CsvError if a column has a value that this kind of row does not count. */
  checkOthers(): void {
    const own: readonly Column[] = ['kind', 'id', 'requests', ...KINDS[this.kind].counts]
    const other = COLUMNS.find(
      (column) => !own.includes(column) && this.#read(column).trim() !== '',
    )
    if (other !== undefined) throw this.fault(`${other} has to be empty if kind is ${this.kind}.`)
  }

  fault(message: string): CsvError {
    return new CsvError(this.line, message)
  }

  #read(column: Column): string {
    return this.cells.get(column) ?? ''
  }

  #toWhole(column: Column, text: string, min: number): number {
    if (text === '') throw this.fault(`${column} is empty.`)
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (Number.isSafeInteger(number) && number >= min) return number
    const range = `a whole number from ${min} to ${Number.MAX_SAFE_INTEGER}`
    throw this.fault(`${column} has to be ${range}, not ${quote(text)}.`)
  }
}

const quote = (text: string) => `"${text.length > 40 ? `${text.slice(0, 40)}…` : text}"`

/**
 * Reads a CSV file of balances. Its first line names the columns, in any order; columns that no row
 * needs may be absent. Throws CsvError, which names the line of the first fault.
 */
export function readBalances(text: string): Balances {
  const [header, ...records] = readCsv(text)
  if (header === undefined) throw new CsvError(1, 'the file is empty.')
  const columns = readHeader(header.line, header.cells)
  if (records.length === 0) throw new CsvError(header.line, 'no row follows the names of columns.')
  const balances: Required<Balances> = { provider_groups: [], api_keys: [], keys: [] }
  const lines = new Map<string, number>()
  for (const { line, cells } of records) {
    const row = toRow(line, columns, cells)
    const { id, kind } = row
    const account = `${KINDS[kind].name} ${id}`
    const before = lines.get(account)
    if (before !== undefined) throw row.fault(`${account} is in line ${before} already.`)
    lines.set(account, line)
    row.checkOthers()
    if (kind === 'key') balances.keys.push(toUsed(row, id as string))
    else balances[`${kind}s`].push(toRated(row, id as number))
  }
  return Object.fromEntries(Object.entries(balances).filter(([, rows]) => rows.length > 0))
}

function readHeader(line: number, cells: string[]): Column[] {
  const names = cells.map((cell) => cell.trim())
  const isColumn = (name: string): name is Column => (COLUMNS as readonly string[]).includes(name)
  const expected = `the first line has to name columns, such as ${COLUMNS.join(',')}`
  const unknown = names.find((name) => !isColumn(name))
  if (unknown !== undefined) throw new CsvError(line, `${expected}; it has ${quote(unknown)}.`)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new CsvError(line, `${expected}; it has ${twice} twice.`)
  const absent = ['kind', 'id', 'requests'].find((name) => !names.includes(name))
  if (absent !== undefined) throw new CsvError(line, `${expected}; it has no ${absent}.`)
  return names as Column[]
}

function toRow(line: number, columns: Column[], cells: string[]): Row {
  if (cells.length !== columns.length) {
    const counts = `${formatCountOf(cells.length, 'cell')}, and the first line ${columns.length}`
    throw new CsvError(line, `it has ${counts}.`)
  }
  const byColumn = new Map(columns.map((column, i) => [column, cells[i]!]))
  const kind = byColumn.get('kind')!.trim()
  if (!Object.hasOwn(KINDS, kind)) {
    const kinds = 'provider_group, api_key or key'
    throw new CsvError(line, `kind has to be ${kinds}, not ${quote(kind)}.`)
  }
  return new Row(line, kind as Kind, byColumn)
}

function toRated(row: Row, id: number): Rated {
  const [total_requests, success_requests] = [row.count('requests'), row.count('successes')]
  if (success_requests > total_requests) throw row.fault('it has more successes than requests.')
  return { id, total_requests, success_requests }
}

const toUsed = (row: Row, token_hash: string): Used => ({
  token_hash,
  request_count: row.count('requests'),
  used_tokens: row.count('tokens'),
  quota_used: row.count('quota_used'),
  last_accessed_at: row.lastAccess,
})

/** The number of rows of a kind, and the sums of what they count. */
export type Sums = { name: string; rows: number; sums: [title: string, sum: bigint][] }

/** Sums up balances by kind; kinds without rows are left out. */
export function sumUp({ provider_groups = [], api_keys = [], keys = [] }: Balances): Sums[] {
  const rated = (name: string, rows: Rated[]): Sums => ({
    ...{ name, rows: rows.length },
    sums: [
      ['requests', sum(rows, (row) => row.total_requests)],
      ['successes', sum(rows, (row) => row.success_requests)],
    ],
  })
  const all: Sums[] = [
    rated(KINDS.provider_group.name, provider_groups),
    rated(KINDS.api_key.name, api_keys),
    {
      ...{ name: KINDS.key.name, rows: keys.length },
      sums: [
        ['requests', sum(keys, (row) => row.request_count)],
        ['tokens', sum(keys, (row) => row.used_tokens)],
        ['quota used', sum(keys, (row) => row.quota_used)],
      ],
    },
  ]
  return all.filter(({ rows }) => rows > 0)
}

/** Sums are bigints: they may be larger than a number can hold exactly. */
const sum = <Item>(rows: Item[], read: (row: Item) => number) =>
  rows.reduce((all, row) => all + BigInt(read(row)), 0n)
