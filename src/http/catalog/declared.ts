import { type Static, Type } from '@sinclair/typebox'
import {
  MAX_DIMENSIONS,
  MAX_MEASURES,
  MAX_MEASURES_EVER,
  type MeasureRow,
  MeasureUnit,
} from '../../events/catalog-change.ts'
import { DeclaredName } from '../../events/catalog-ids.ts'
import type { Catalog } from '../../log/catalog/catalog.ts'
import type { Conflict } from './merge.ts'

/** The `error` of a change that would declare more. */
export const TOO_MANY_DIMENSIONS = 'too many dimensions'
export const TOO_MANY_MEASURES = 'too many measures'

const strict = { additionalProperties: false }

const NAME = 'A lower-case letter, then up to 63 of `a` to `z`, `0` to `9` and `_`'
const UNIT = 'What it is counted in, for people: at most 64 characters; an empty string removes it'

const unit = Type.Optional(
  Type.Union([Type.String({ maxLength: MeasureUnit.maxLength! }), Type.Null()], {
    description: UNIT,
  }),
)
const name = Type.String({ ...DeclaredName, description: NAME })

/** Dimensions in a body. */
export const DimensionsBody = Type.Array(Type.Object({ name }, strict), {
  maxItems: MAX_DIMENSIONS,
})

/** Measures in a body; an absent or null unit keeps the current one. */
export const MeasuresBody = Type.Array(Type.Object({ name, unit }, strict), {
  maxItems: MAX_MEASURES,
})

/** Returns the rows that declare dimensions. */
export function mergeDimensions(
  catalog: Catalog,
  dimensions: Static<typeof DimensionsBody>,
): { name: string }[] | Conflict {
  const all = new Set([...catalog.dimensions, ...dimensions.map(({ name }) => name)])
  if (all.size > MAX_DIMENSIONS) {
    return tooMany(TOO_MANY_DIMENSIONS, `dimensions: ${all.size} would be declared`, MAX_DIMENSIONS)
  }
  return dimensions.map(({ name }) => ({ name }))
}

/** Returns the complete rows that declare measures; new ones get the numbers after the highest. */
export function mergeMeasures(
  catalog: Catalog,
  measures: Static<typeof MeasuresBody>,
): MeasureRow[] | Conflict {
  const all = new Set([...catalog.measures.keys(), ...measures.map(({ name }) => name)])
  if (all.size > MAX_MEASURES) {
    return tooMany(TOO_MANY_MEASURES, `measures: ${all.size} would be declared`, MAX_MEASURES)
  }
  const ever = new Set([...catalog.measureNumbers.keys(), ...measures.map(({ name }) => name)])
  if (ever.size > MAX_MEASURES_EVER) {
    const detail =
      `At most ${MAX_MEASURES_EVER} measures can ever be declared, retired ones included. ` +
      'Declare a retired one again.'
    return { error: TOO_MANY_MEASURES, detail }
  }
  let next = catalog.measureNumbers.size
  return measures.map(({ name, unit }) => {
    const number = catalog.measureNumbers.get(name) ?? next++
    const kept = unit ?? catalog.measures.get(name)?.unit ?? ''
    return { name, number, ...(kept === '' ? {} : { unit: kept }) }
  })
}

const tooMany = (error: string, what: string, limit: number): Conflict => ({
  error,
  detail: `${what}; at most ${limit} can be. Retire others first.`,
})
