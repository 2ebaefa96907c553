import { nameOf } from '../format.ts'
import type { Column } from '../parts/table.tsx'
import { To } from '../parts/to.tsx'
import { CatalogList } from './catalog-list.tsx'
import { EditApiKey } from './edit.tsx'
import { EXTERNAL_ID } from './external-id.tsx'
import { type ItemOf, loadApiKeys } from './lists.ts'
import { RATED_COLUMNS } from './rated-columns.tsx'

type ApiKey = ItemOf<typeof loadApiKeys>

const COLUMNS: Column<ApiKey>[] = [
  {
    title: 'API key',
    wraps: true,
    sort: 'name',
    show: (key) => <To href={`/api-keys/${key.id}`}>{nameOf(key)}</To>,
  },
  { title: 'Number', sort: 'id', align: 'end', rank: 2, chars: 12, show: ({ id }) => id },
  ...RATED_COLUMNS,
  EXTERNAL_ID,
]

const GROUP: Column<ApiKey> = {
  title: 'Group',
  ...{ rank: 3, chars: 10, align: 'end' },
  show: ({ group_id }) =>
    group_id === 0 ? (
      <span class="muted">none</span>
    ) : (
      <To href={`/groups/${group_id}`}>{`#${group_id}`}</To>
    ),
}

/** Lists API keys with their counters: those of a group, or all. */
export function ApiKeyList({ groupId }: { groupId?: number }) {
  const isAll = groupId === undefined
  return (
    <CatalogList
      title={isAll ? 'All API keys' : 'API keys of this group'}
      one="key"
      many="API keys"
      columns={isAll ? [...COLUMNS, GROUP] : COLUMNS}
      keyOf={({ id }) => id}
      sort="-total_requests"
      {...(isAll ? {} : { narrow: { group_id: String(groupId) } })}
      load={loadApiKeys}
      add={(close, done) => (
        <EditApiKey {...(isAll ? {} : { groupId })} onClose={close} onDone={done} />
      )}
    />
  )
}
