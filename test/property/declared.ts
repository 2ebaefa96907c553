import { expect } from 'bun:test'
import fc from 'fast-check'
import type { TestService } from '../support/service.ts'
import type { Measures } from './details.ts'
import { type Answer, errorOnly, get, NOTHING, toAnswer } from './exact.ts'
import type { ExactRow } from './model-reads.ts'
import type { CatalogPut } from './naive-catalog.ts'

/** Dimensions or measures. */
export type DeclaredKind = 'dimensions' | 'measures'

const KINDS = ['dimensions', 'measures'] as const
const LIMITS = { dimensions: 8, measures: 32 }

/** Few more names than can be declared at once; all runs use the same. */
const NAMES = {
  dimensions: Array.from({ length: 10 }, (_, i) => `d_${i}`),
  measures: Array.from({ length: 36 }, (_, i) => `m${i}`),
}

/** Declares dimensions and measures, often more than there may be. */
export const declaration = fc
  .record(
    {
      dimensions: fc.subarray(NAMES.dimensions, { maxLength: 6 }),
      measures: fc.subarray(NAMES.measures, { maxLength: 16 }),
      unit: fc.constantFrom(undefined, null, '', 'USD/1e6', '"µ"'),
    },
    { requiredKeys: ['unit'] },
  )
  .map(
    ({ dimensions, measures, unit }): CatalogPut => ({
      ...(dimensions && { dimensions: dimensions.map((name) => ({ name })) }),
      ...(measures && {
        measures: measures.map((name) => (unit === undefined ? { name } : { name, unit })),
      }),
    }),
  )

/** Selects a dimension or a measure. */
export const declaredName = fc
  .constantFrom<DeclaredKind>(...KINDS)
  .chain((kind) => fc.constantFrom(...NAMES[kind]).map((name) => ({ kind, name })))

type Row = { unit: string | null; ended: boolean }

/** The dimensions and measures of the catalog, as the contract has them. */
export class NaiveDeclared {
  readonly #rows = {
    dimensions: new Map<string, Row>(),
    measures: new Map<string, Row>(),
  }

  /** Declares all, or returns the `error` of the refusal and declares none. */
  put(catalog: CatalogPut): string | null {
    for (const kind of KINDS) {
      const active = [...this.#rows[kind]].filter(([, { ended }]) => !ended)
      const names = [...active.map(([name]) => name), ...(catalog[kind] ?? []).map(nameOf)]
      if (catalog[kind] && new Set(names).size > LIMITS[kind]) return `too many ${kind}`
    }
    for (const { name } of catalog.dimensions ?? []) this.#set('dimensions', name, null)
    for (const { name, unit } of catalog.measures ?? []) {
      const old = this.#rows.measures.get(name)
      const kept = old && !old.ended ? old.unit : null
      this.#set('measures', name, (unit ?? kept) || null)
    }
    return null
  }

  /** Returns false if it is not declared. */
  retire(kind: DeclaredKind, name: string): boolean {
    const row = this.#rows[kind].get(name)
    if (!row || row.ended) return false
    row.ended = true
    return true
  }

  /** The measures of a row, once any was declared; retired ones only if they were counted. */
  measured(totals: Measures): { measures?: Record<string, bigint> } {
    const { measures } = this.#rows
    if (measures.size === 0) return {}
    const all = [...measures].map(([name, { ended }]) => ({ name, ended, sum: totals.get(name) }))
    const shown = all.filter(({ ended, sum = 0n }) => !ended || sum !== 0n)
    return { measures: Object.fromEntries(shown.map(({ name, sum = 0n }) => [name, sum])) }
  }

  /** The names that flushes may use. */
  active(kind: DeclaredKind): string[] {
    return [...this.#rows[kind]].flatMap(([name, { ended }]) => (ended ? [] : name)).sort()
  }

  /** True if a flush may use all these names. */
  hasAll(kind: DeclaredKind, names: readonly string[]): boolean {
    return names.every((name) => this.#rows[kind].get(name)?.ended === false)
  }

  /** Starts with what earlier runs have left in the catalog. */
  async begin(service: TestService): Promise<void> {
    for (const kind of KINDS) {
      const { body } = await get(service, `/admin/${kind}?ended=true&limit=1000`)
      for (const { name, unit = null, ended_at } of (body as { items: ExactRow[] }).items) {
        const row = { unit: unit as string | null, ended: ended_at === true }
        this.#rows[kind].set(name as string, row)
      }
    }
  }

  /** Compares the list of what is declared, and with `ended` of what was. */
  async compare(
    service: TestService,
    kind: DeclaredKind,
    ended: boolean,
    reflecting: Answer,
  ): Promise<void> {
    const query = `?limit=1000${ended ? '&ended=true' : ''}`
    const answer = await get(service, `/admin/${kind}${query}`)
    const items = [...this.#rows[kind]]
      .filter(([, row]) => ended || !row.ended)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, row]) => ({
        ...{ name, ...(kind === 'measures' && { unit: row.unit }) },
        ...(row.ended && { ended_at: true }),
      }))
    expect(answer).toEqual({ ...reflecting, body: { items, next_cursor: null } })
  }

  #set(kind: DeclaredKind, name: string, unit: string | null): void {
    this.#rows[kind].set(name, { unit, ended: false })
  }
}

const nameOf = ({ name }: { name: string }) => name

/** Retires a dimension or a measure there and in the model, and compares the answers. */
export async function retireDeclared(
  service: TestService,
  declared: NaiveDeclared,
  { kind, name }: { kind: DeclaredKind; name: string },
  appended: (at: string | null) => unknown,
): Promise<void> {
  const response = await service.fetch('admin', `/admin/${kind}/${name}`, { method: 'DELETE' })
  const answer = await toAnswer(response)
  if (!declared.retire(kind, name)) {
    expect(errorOnly(answer)).toEqual({ ...NOTHING, status: 404, body: 'not found' })
    return
  }
  expect(answer).toMatchObject({ status: 204, body: null })
  expect(answer.positions).toStartWith('0/')
  appended(answer.positions)
}
