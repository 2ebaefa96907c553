import { ACCOUNT_KINDS, type AccountKind } from '../events/accounts.ts'
import { backdatedPartsTable, partsTable } from '../read-model/projections/detail-rows.ts'
import {
  type Grain,
  rolledUpPartsTable,
  rolledUpTable,
} from '../read-model/projections/rolled-up.ts'
import { backdatedTable, usageTable } from '../read-model/projections/usage.ts'

/** A table with usage by quarter hours or days, and the one with the same by a longer unit. */
export type MovedTable = {
  kind: AccountKind
  grain: Grain
  from: string
  to: string
  hasParts: boolean
  /** True if `from` has backdated usage, and what was counted when it was recorded. */
  hasBoth: boolean
}

/** The tables from which usage is moved: of what was counted when it was recorded, and the rest. */
type MovedTables = { timely: readonly MovedTable[]; backdated: readonly MovedTable[] }

type Naming = (kind: AccountKind) => string

const pairs = (grain: Grain, hasBoth: boolean, usage: Naming, parts: Naming): MovedTable[] =>
  ACCOUNT_KINDS.flatMap((kind) => {
    const common = { kind, grain, hasBoth }
    return [
      { ...common, from: usage(kind), to: rolledUpTable(kind, grain), hasParts: false },
      { ...common, from: parts(kind), to: rolledUpPartsTable(kind, grain), hasParts: true },
    ]
  })

const DAYS = pairs(
  'month',
  true,
  (kind) => rolledUpTable(kind, 'day'),
  (kind) => rolledUpPartsTable(kind, 'day'),
)

/** What is moved to the tables of each unit: quarter hours to days, and days to months. */
export const MOVED_TABLES: Record<Grain, MovedTables> = {
  day: {
    timely: pairs('day', false, usageTable, partsTable),
    backdated: pairs('day', false, backdatedTable, backdatedPartsTable),
  },
  month: { timely: DAYS, backdated: DAYS },
}
