import { formatCount, formatTime } from '../format.ts'
import { Quota } from '../parts/rate.tsx'
import type { Column } from '../parts/table.tsx'
import { Title } from '../parts/title.tsx'
import { To } from '../parts/to.tsx'
import { CatalogList } from './catalog-list.tsx'
import { EditKey } from './edit.tsx'
import { type ItemOf, loadKeys } from './lists.ts'

/** Shortens a hash for narrow places. */
export const shorten = (hash: string) => (hash.length > 16 ? `${hash.slice(0, 12)}…` : hash)

const COLUMNS: Column<ItemOf<typeof loadKeys>>[] = [
  {
    title: 'Token key',
    wraps: true,
    sort: 'name',
    show: ({ token_hash, name }) => (
      <To href={`/keys/${encodeURIComponent(token_hash)}`} title={token_hash}>
        {name ?? shorten(token_hash)}
      </To>
    ),
  },
  {
    title: 'Requests',
    sort: 'request_count',
    align: 'end',
    rank: 2,
    show: (key) => formatCount(key.request_count),
  },
  {
    title: 'Tokens',
    phoneChars: 12,
    sort: 'used_tokens',
    align: 'end',
    show: (key) => formatCount(key.used_tokens),
  },
  {
    title: 'Quota used',
    ...{ chars: 26, phoneChars: 11 },
    sort: 'quota_used',
    align: 'end',
    show: (key) => <Quota used={key.quota_used} limit={key.quota_limit} />,
  },
  {
    title: 'Last access',
    chars: 24,
    sort: 'last_accessed_at',
    align: 'end',
    rank: 3,
    show: ({ last_accessed_at }) =>
      last_accessed_at === null ? (
        <span class="muted">never</span>
      ) : (
        formatTime(last_accessed_at, 'short')
      ),
  },
]

/** Lists token keys: how much of their quota they used, and when. */
export const KeyList = () => (
  <>
    <Title>Token keys</Title>
    <CatalogList
      title="All token keys"
      one="key"
      many="token keys"
      columns={COLUMNS}
      keyOf={({ token_hash }) => token_hash}
      sort="-used_tokens"
      load={loadKeys}
      add={(close, done) => <EditKey onClose={close} onDone={done} />}
    />
  </>
)
