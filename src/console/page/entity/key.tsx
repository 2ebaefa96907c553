import { api } from '../api.ts'
import { ResetQuota } from '../bookkeeping/reset-quota.tsx'
import { formatCount, formatTime } from '../format.ts'
import { Missing } from '../parts/missing.tsx'
import { Quota } from '../parts/rate.tsx'
import { Failed } from '../parts/states.tsx'
import { Usage } from '../usage/usage.tsx'
import { EditKey, End } from './edit.tsx'
import { Explained } from './explained.tsx'
import { Head } from './head.tsx'
import { shorten } from './key-list.tsx'
import { Measured } from './measured.tsx'
import { Total } from './totals.tsx'
import { useRow } from './use-row.ts'

/** Shows a token key: its used quota, last access, usage over time, and the events behind it. */
export function Key({ hash }: { hash: string }) {
  const id = encodeURIComponent(hash)
  const { value, failure, reload } = useRow(`key ${hash}`, (query) =>
    api.admin.keys({ token_hash: id }).get({ query }),
  )
  const name = value && (value.name ?? shorten(hash))
  const end = { what: 'keys', id, title: `the token key ${name}`, onDone: reload } as const
  const reset = { id, name, onDone: reload }
  const isLimited = value !== null && value !== undefined && value.quota_limit >= 0
  if (failure?.status === 404 && !value) {
    return <Missing what="token key of that hash" href="/keys" place="the token keys" />
  }
  return (
    <>
      <Head
        kind="Token key"
        name={name}
        endedAt={value?.ended_at}
        edit={(close) => <EditKey row={value!} onClose={close} onDone={reload} />}
        end={(close) => <End {...end} onClose={close} />}
        reset={isLimited ? (close) => <ResetQuota {...reset} onClose={close} /> : undefined}
      >
        <code class="hash">{hash}</code>
        {value && (
          <span>
            {value.last_accessed_at === null
              ? 'never accessed'
              : `last accessed ${formatTime(value.last_accessed_at)}`}
          </span>
        )}
      </Head>
      {failure && <Failed failure={failure} onRetry={reload} />}
      <dl class="totals">
        <Total title="Requests" count={value?.request_count} />
        <Total title="Tokens" count={value?.used_tokens} />
        <div class="card total">
          <dt>Quota used</dt>
          <dd>
            <b>{value ? formatCount(value.quota_used) : '…'}</b>
            {value && value.quota_limit >= 0 && (
              <span class="share">of {formatCount(value.quota_limit)}</span>
            )}
            {value && <Quota used={value.quota_used} limit={value.quota_limit} />}
            {value?.quota_resets_at && (
              <span class="muted">begins anew {formatTime(value.quota_resets_at, 'minute')}</span>
            )}
          </dd>
        </div>
      </dl>
      <Usage scope={{ token_hash: hash }} name={name ?? 'the token key'} />
      <Explained scope={{ token_hash: hash }} />
      <Measured row={value} />
    </>
  )
}
