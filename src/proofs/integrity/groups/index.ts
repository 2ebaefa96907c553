import { CurrentGroup } from './current.ts'
import type { CheckedProjection, ProjectionGroup } from './group.ts'
import { SnapshotGroup } from './snapshots.ts'
import { UsageGroup } from './usage.ts'

/** All projections of a shard, by the groups that are folded and written together. */
export const createGroups = (shard: number): ProjectionGroup[] => [
  new CurrentGroup(shard),
  new UsageGroup(),
  new SnapshotGroup(),
]

/** Every projection that is checked. */
export const CHECKED_PROJECTIONS: readonly CheckedProjection[] = createGroups(0).flatMap(
  ({ projections }) => projections,
)
