import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { DECLARED_SORTS, type Declared, readDeclared } from '../../read-model/queries/declared.ts'
import type { Page } from '../../read-model/queries/keyset-page.ts'
import { readNow } from '../../read-model/queries/live.ts'
import type { RequestContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import { strict } from '../params.ts'
import {
  type AsOf,
  answerRead,
  consistentRead,
  findPositions,
  type ReadOptions,
} from './consistent-read.ts'
import { read } from './detail.ts'
import { endedAt, pageOf, paging, sortOf } from './model.ts'
import { type ListQuery, toPageRequest } from './page-request.ts'

/** Serves the lists of dimensions and measures. */
export function declaredRoutes(guard: ReturnType<typeof auth>, options: ReadOptions) {
  const roles = ['admin', 'auditor'] as const
  return new Elysia({ name: 'declared' })
    .use(guard)
    .get('/admin/dimensions', (context) => list(options, context, context.query, 'dimension'), {
      roles,
      query: ListOfDeclared,
      detail: dimensionsDetail,
    })
    .get('/admin/measures', (context) => list(options, context, context.query, 'measure'), {
      roles,
      query: ListOfDeclared,
      detail: measuresDetail,
    })
}

/**
 * Answers with a page of the catalog alone. Unlike a read of counters, one as of a time depends on
 * no snapshot.
 */
async function list(
  options: ReadOptions,
  context: RequestContext,
  query: ListQuery & AsOf,
  kind: 'dimension' | 'measure',
): Promise<Page<Declared>> {
  const past = await findPositions(options, context, query)
  const awaited = query.consistency === 'eventual' ? [] : (['current'] as const)
  const request = toPageRequest(query, 'name')
  return answerRead(past, () =>
    consistentRead(options, context, { past, awaited }, (sql) =>
      readNow(sql, (transaction) => readDeclared(transaction, kind, past, request)),
    ),
  )
}

const ListOfDeclared = Type.Object({ ...paging, sort: sortOf(DECLARED_SORTS) }, strict)

const DimensionBody = Type.Object(
  { name: Type.String(), ended_at: endedAt },
  { title: 'Dimension' },
)
const MeasureBody = Type.Object(
  {
    name: Type.String(),
    unit: Type.Union([Type.String(), Type.Null()], {
      description: 'What it is counted in, for people; null if none was declared',
    }),
    ended_at: endedAt,
  },
  { title: 'Measure' },
)

const dimensionsDetail = read({
  summary: 'List the dimensions that flushes may use',
  ok: {
    description: 'A page of dimensions',
    schema: pageOf(DimensionBody),
    example: { items: [{ name: 'model' }], next_cursor: null },
  },
})
const measuresDetail = read({
  summary: 'List the measures that flushes may use',
  ok: {
    description: 'A page of measures',
    schema: pageOf(MeasureBody),
    example: { items: [{ name: 'cost_micros', unit: 'USD/1e6' }], next_cursor: null },
  },
})
