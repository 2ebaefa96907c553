import { type CatalogChange, decodeCatalogChange } from '../catalog-change.ts'
import { COUNTS_NOTHING, type EventDefinition } from '../definition.ts'

/** Catalog rows that were upserted or retired. */
export const catalogChanged: EventDefinition<CatalogChange> = {
  ...COUNTS_NOTHING,
  version: 1,
  read: { 1: decodeCatalogChange },
}
