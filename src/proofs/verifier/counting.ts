import type { CatalogTable } from './change-catalog.ts'
import type { CountedPart } from './details.ts'

/** Receives every count of usage as it is folded. */
export interface Counting {
  /** Called first for each event that counts, with its time and the one that it counts at. */
  begin(position: number, recordedAt: string, countedAt: string): void
  /** Called with what the event adds to a row: the columns of its usage table. */
  add(table: CatalogTable, key: number | string, values: readonly number[]): void
  /** Called with what it adds with dimensions or measures. */
  addPart(part: CountedPart): void
}
