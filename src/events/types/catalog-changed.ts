import { type CatalogChange, readCatalogChange, versionOfChange } from '../catalog-change.ts'
import { COUNTS_NOTHING, type EventDefinition } from '../definition.ts'

/** Catalog rows that were upserted or retired. */
export const catalogChanged: EventDefinition<CatalogChange> = {
  ...COUNTS_NOTHING,
  version: 4,
  versionOf: versionOfChange,
  read: {
    ...{ 1: readCatalogChange(1), 2: readCatalogChange(2) },
    ...{ 3: readCatalogChange(3), 4: readCatalogChange(4) },
  },
}
