import {
  type CatalogChange,
  decodeCatalogChange,
  decodeCatalogChange1,
  versionOfChange,
} from '../catalog-change.ts'
import { COUNTS_NOTHING, type EventDefinition } from '../definition.ts'

/** Catalog rows that were upserted or retired. */
export const catalogChanged: EventDefinition<CatalogChange> = {
  ...COUNTS_NOTHING,
  version: 2,
  versionOf: versionOfChange,
  read: { 1: decodeCatalogChange1, 2: decodeCatalogChange },
}
