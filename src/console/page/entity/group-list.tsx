import { TriangleAlert } from 'lucide-preact'
import { nameOf } from '../format.ts'
import type { Column } from '../parts/table.tsx'
import { To } from '../parts/to.tsx'
import { CatalogList } from './catalog-list.tsx'
import { EditGroup } from './edit.tsx'
import { EXTERNAL_ID } from './external-id.tsx'
import { GroupTrend } from './group-trend.tsx'
import { type ItemOf, loadGroups } from './lists.ts'
import { RATED_COLUMNS } from './rated-columns.tsx'

const COLUMNS: Column<ItemOf<typeof loadGroups>>[] = [
  {
    title: 'Group',
    wraps: true,
    sort: 'name',
    show: (group) => <To href={`/groups/${group.id}`}>{nameOf(group)}</To>,
  },
  ...RATED_COLUMNS,
  EXTERNAL_ID,
  {
    title: 'Last 24 hours',
    ...{ rank: 2, chars: 14, align: 'end' },
    show: (group) => <GroupTrend id={group.id} />,
  },
]

/** Lists the provider groups with their counters, busiest first. */
export const GroupList = () => (
  <CatalogList
    title="Provider groups"
    one="group"
    many="provider groups"
    columns={COLUMNS}
    keyOf={({ id }) => id}
    sort="-total_requests"
    load={loadGroups}
    shortcut={{ title: 'Worst first', sort: '-failure_rate', Icon: TriangleAlert }}
    add={(close, done) => <EditGroup onClose={close} onDone={done} />}
  />
)
