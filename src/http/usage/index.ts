import { Elysia } from 'elysia'
import { formatPositions } from '../../events/positions.ts'
import type { auth } from '../auth.ts'
import type { ReadOptions } from '../counters/consistent-read.ts'
import { jsonResponse, typedAs } from '../json.ts'
import { chooseType } from '../negotiation.ts'
import { toCsv } from './csv.ts'
import { breakdownDetail, detail } from './detail.ts'
import { readDivision } from './division.ts'
import { BreakdownQuery, UsageQuery } from './model.ts'
import { readRange } from './read.ts'
import { readScope } from './scope.ts'

/** The most items of one answer, and the most values of a breakdown: with two more it has 1,000. */
const MAX_ITEMS = 10_000
const MAX_VALUES = 998
const DEFAULT_VALUES = 20

/**
 * Serves GET /admin/usage: the usage in each hour, day or month of a time zone, and GET
 * /admin/breakdown: the usage of a range by the values of dimensions.
 */
export function usageRoutes(guard: ReturnType<typeof auth>, options: ReadOptions) {
  const roles = ['admin', 'auditor'] as const
  return new Elysia({ name: 'usage' })
    .use(guard)
    .get(
      '/admin/usage',
      async (context) => {
        const { query } = context
        const { bucket = 'hour', tz = 'UTC', group_by: by } = query
        const values = Number(query.limit ?? DEFAULT_VALUES)
        const limits = { values, items: MAX_ITEMS }
        const division = by === undefined ? null : readDivision(by, query.largest_by, limits)
        const range = { ...query, bucket, tz }
        const scope = readScope(query)
        const read = await readRange(options, context, query, range, scope, division)
        const { value, positions, bounds } = read
        const position = formatPositions(positions)
        if (isCsv(context)) return csvResponse(toCsv(value, division?.by ?? []), position)
        const divided = division === null ? {} : { group_by: division.by }
        return jsonResponse(
          { bucket, tz, ...divided, from: bounds[0], to: bounds.at(-1), ...value },
          { 'tallybook-position': position, vary: 'accept' },
        )
      },
      { roles, query: UsageQuery, detail },
    )
    .get(
      '/admin/breakdown',
      async (context) => {
        const { query } = context
        const { tz = 'UTC' } = query
        const values = Number(query.limit ?? MAX_VALUES)
        const limits = { values, items: MAX_VALUES + 2 }
        const division = readDivision(query.by, query.largest_by, limits)
        // A long range may have too many hours.
        const bucket = query.from !== undefined && query.to !== undefined ? 'day' : 'hour'
        const range = { ...query, bucket, tz, isOneBucket: true } as const
        const scope = readScope(query)
        const read = await readRange(options, context, query, range, scope, division)
        const { value, positions, bounds } = read
        const position = formatPositions(positions)
        if (isCsv(context)) return csvResponse(toCsv(value, division.by, false), position)
        const items = value.items.map(({ from: _from, to: _to, ...item }) => item)
        return jsonResponse(
          { by: division.by, tz, from: bounds[0], to: bounds.at(-1), items, total: value.total },
          { 'tallybook-position': position, vary: 'accept' },
        )
      },
      { roles, query: BreakdownQuery, detail: breakdownDetail },
    )
}

type Context = { request: Request; query: { format?: 'json' | 'csv' } }

function isCsv({ request, query }: Context): boolean {
  const format = query.format ?? chooseType(request, ['application/json', 'text/csv'])
  return format === 'csv' || format === 'text/csv'
}

/** The only typed caller, the console, requests JSON. */
const csvResponse = (text: string, position: string) => {
  const type = { 'content-type': 'text/csv; charset=utf-8; header=present' }
  return typedAs<never>(
    new Response(text, { headers: { ...type, 'tallybook-position': position, vary: 'accept' } }),
  )
}
