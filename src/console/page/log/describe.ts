import { formatCount, formatCountOf, formatTime } from '../format.ts'
import { isPacked, statedTime, unpackColumn } from './packed.ts'

/** All types of events. */
export const TYPES = [
  'ApiKeyStatsFlushed',
  'KeyStatsFlushed',
  'BalancesOpened',
  'TotalsAdjusted',
  'EventReversed',
  'UnknownKeysAdopted',
  'QuotaReset',
  'RuleCrossed',
  'RuleCleared',
  'TokenCreated',
  'TokenRevoked',
  'CatalogChanged',
  'ProjectionAttested',
  'OriginChanged',
  'ShardsChanged',
]

/** Describes an event in a few words. */
export function describeEvent(type: string, payload: unknown): string {
  const value = (payload ?? {}) as Record<string, unknown>
  switch (type) {
    case 'ApiKeyStatsFlushed': {
      const ids = isPacked(value.ids) ? unpackColumn(value.ids, totalOf(value.counts)) : value.ids
      return `${describeFlush(value, ids, 'API key')}${describeTime(type, payload)}`
    }
    case 'KeyStatsFlushed':
      return `${describeFlush(value, value.hashes, 'token key')}${describeTime(type, payload)}`
    case 'BalancesOpened':
      return describeOpening(value)
    case 'TotalsAdjusted':
      return withReason('adjustment', value.reason)
    case 'EventReversed':
      return withReason(`reverses ${value.reversed ?? 'an event'}`, value.reason)
    case 'UnknownKeysAdopted':
      return describeAdoption(value)
    case 'QuotaReset':
      return withReason('quota reset', value.reason)
    case 'RuleCrossed':
      return describeRule(value, 'crossed')
    case 'RuleCleared':
      return describeRule(value, 'cleared')
    case 'TokenCreated':
      return `token ${value.name} created, ${value.role}`
    case 'TokenRevoked':
      return `token ${value.name} revoked`
    case 'CatalogChanged':
      return describeChange(value)
    case 'ProjectionAttested':
      return 'digests and totals of the projections'
    case 'OriginChanged':
      return 'the log continues under another origin'
    case 'ShardsChanged':
      return 'the log was resharded'
    default:
      return ''
  }
}

/** Describes the entries of a flush for these keys. From version 4 or 2 on, columns are packed. */
function describeFlush({ requests }: Record<string, unknown>, keys: unknown, what: string): string {
  const counts = isPacked(requests) ? unpackColumn(requests, listOf(keys).length) : requests
  return `${sumOf(counts)} of ${countOf(keys, what)}`
}

function describeTime(type: string, payload: unknown): string {
  const seconds = statedTime(type, payload)
  return seconds === null ? '' : `, counted ${formatTime(seconds * 1_000, 'moment')}`
}

const totalOf = (counts: unknown): number =>
  listOf(counts).reduce((all: number, count) => all + Number(toWhole(count)), 0)

const listOf = (value: unknown) => (Array.isArray(value) ? value : [])

/** Adds counts as bigints: they may be larger than a number can hold exactly. */
const sumOf = (counts: unknown) =>
  formatCountOf(
    listOf(counts).reduce((all: bigint, count) => all + toWhole(count), 0n),
    'request',
  )

const toWhole = (count: unknown) =>
  typeof count === 'bigint' ? count : BigInt(Number.isInteger(count) ? Number(count) : 0)

const countOf = (list: unknown, what: string) => formatCountOf(listOf(list).length, what)

const withReason = (text: string, reason: unknown) =>
  typeof reason === 'string' ? `${text}: ${reason}` : text

function describeAdoption({ api_keys, keys }: Record<string, unknown>): string {
  const requests = [...columnOf(api_keys, 'requests'), ...columnOf(keys, 'requests')]
  // A key has a row for each name and quarter hour.
  const parts = (
    [
      [new Set(columnOf(api_keys, 'ids')).size, 'API key'],
      [new Set(columnOf(keys, 'hashes')).size, 'token key'],
    ] as const
  ).filter(([count]) => count > 0)
  const counts = parts.map(([count, what]) => formatCountOf(count, what))
  return counts.length > 0 ? `adopts ${sumOf(requests)} of ${counts.join(', ')}` : 'adoption'
}

function describeOpening({ provider_groups, api_keys, keys }: Record<string, unknown>): string {
  const parts = (
    [
      [columnOf(provider_groups, 'ids'), 'provider group'],
      [columnOf(api_keys, 'ids'), 'API key'],
      [columnOf(keys, 'hashes'), 'token key'],
    ] as const
  ).filter(([rows]) => rows.length > 0)
  const counts = parts.map(([rows, what]) => countOf(rows, what))
  return counts.length > 0 ? `opening balances of ${counts.join(', ')}` : 'opening balances'
}

const columnOf = (rows: unknown, name: string) =>
  listOf(((rows ?? {}) as Record<string, unknown>)[name])

function describeRule({ rule, subject }: Record<string, unknown>, what: string): string {
  const { name } = (rule ?? {}) as { name?: unknown }
  const { kind, id } = (subject ?? {}) as { kind?: unknown; id?: unknown }
  const who = kind === 'log' ? 'the log' : `${String(kind).replace('_', ' ')} ${id}`
  return `${who} ${what} ${name}`
}

function describeChange({ upserted, ended }: Record<string, unknown>): string {
  const rowsOf = (kinds: readonly string[], lists: unknown) =>
    Object.entries((lists ?? {}) as object).flatMap(([kind, rows]) =>
      kinds.includes(kind) ? listOf(rows) : [],
    )
  const texts = (
    [
      [upserted, 'put'],
      [ended, 'ended'],
    ] as const
  ).flatMap(([lists, what]) => {
    const rows = rowsOf(ROWS, lists).length
    return rows > 0 ? [`${formatCount(rows)} ${what}`] : []
  })
  const named = [upserted, ended]
    .flatMap((lists) => rowsOf(ROWS, lists))
    .filter((row) => typeof row?.external_id === 'string')
  if (named.length === 1) texts.push(`external id ${named[0].external_id}`)
  else if (named.length > 1) texts.push(`${formatCount(named.length)} with external ids`)
  for (const [lists, what] of [[upserted, ''] as const, [ended, ' ended'] as const]) {
    for (const [kind, one] of DECLARED) {
      const names = rowsOf([kind], lists).map((row) => String(row?.name))
      if (names.length > 0)
        texts.push(`${names.length === 1 ? one : kind} ${names.join(', ')}${what}`)
    }
  }
  return texts.join(', ')
}

/** The rows of the catalog that are counted, and those that are named in full. */
const ROWS = ['provider_groups', 'api_keys', 'keys']
const DECLARED = [
  ['dimensions', 'dimension'] as const,
  ['measures', 'measure'] as const,
  ['rules', 'rule'] as const,
]
