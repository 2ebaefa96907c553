import { CurrentGroup } from './current.ts'
import type { CheckedProjection, ProjectionGroup } from './group.ts'
import { SnapshotGroup } from './snapshots.ts'
import { UsageGroup } from './usage.ts'

/** Returns the projection groups of a shard; each is folded and written together. */
export const createGroups = (shard: number): ProjectionGroup[] => [
  new CurrentGroup(shard),
  new UsageGroup(),
  new SnapshotGroup(),
]

/** All checked projections. */
export const CHECKED_PROJECTIONS: readonly CheckedProjection[] = createGroups(0).flatMap(
  ({ projections }) => projections,
)
