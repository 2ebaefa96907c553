import { Pause, Play, Plus, RefreshCw, Send, Trash2 } from 'lucide-preact'
import { useState } from 'preact/hooks'
import { formatCount, formatTime } from '../format.ts'
import { IconButton } from '../parts/icon-button.tsx'
import { Empty } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { isAdmin } from '../session.ts'
import { type Asked, Asking } from './dialogs.tsx'
import type { Webhook } from './load.ts'
import { describeOutcome } from './outcome.ts'

const COLUMNS: Column<Webhook>[] = [
  { title: 'Webhook', ...{ chars: 20, phoneChars: 9 }, wraps: true, show: ({ name }) => name },
  { title: 'URL', ...{ rank: 3 }, wraps: true, show: ({ url }) => url },
  { title: 'State', ...{ chars: 22, phoneChars: 9 }, wraps: true, show: State },
  {
    title: 'Pending',
    ...{ align: 'end', chars: 10, rank: 2 },
    show: ({ pending }) => formatCount(pending),
  },
  {
    title: 'Given up',
    ...{ align: 'end', chars: 10, rank: 2 },
    show: ({ given_up }) => (
      <span class={given_up > 0 ? 'badge bad' : 'muted'}>{formatCount(given_up)}</span>
    ),
  },
]

/** Tells whether a webhook takes what is sent to it. */
function State({ enabled, failures, rotating_until, last_status, last_error }: Webhook) {
  if (!enabled) return <span class="muted">disabled</span>
  if (failures > 0) {
    const outcome = describeOutcome({ status: last_status, error: last_error })
    return <span class="badge fair">{outcome}</span>
  }
  return rotating_until === null ? (
    <span>works</span>
  ) : (
    <span title={`Two signatures until ${formatTime(rotating_until, 'minute')}`}>
      works, two secrets
    </span>
  )
}

/** Lists the webhooks; an admin creates, tests, changes and deletes them here. */
export function Webhooks({ items, reload }: { items: Webhook[]; reload: () => Promise<void> }) {
  const [asked, setAsked] = useState<Asked | null>(null)
  return (
    <section class="card" aria-label="All webhooks">
      <header>
        <h2>Webhooks</h2>
        {isAdmin() && (
          <button type="button" class="small" onClick={() => setAsked({ what: 'create' })}>
            <Plus aria-hidden size={14} /> Create a webhook
          </button>
        )}
      </header>
      {items.length === 0 ? (
        <Empty title="There is no webhook yet.">
          A webhook is a URL to which the events of rules are sent, with a signature.
        </Empty>
      ) : (
        <Table
          caption="Webhooks"
          columns={isAdmin() ? [...COLUMNS, changes(setAsked)] : COLUMNS}
          items={items}
          keyOf={({ name }) => name}
          isWide
        />
      )}
      {asked && <Asking key={asked.what} asked={asked} ask={setAsked} done={reload} />}
    </section>
  )
}

/** The buttons of a row. */
function changes(ask: (asked: Asked) => void): Column<Webhook> {
  return {
    ...{ title: 'Change', chars: 24, phoneChars: 20 },
    show: ({ name, enabled }) => (
      <div class="choices">
        <IconButton label={`Send a test to ${name}`} onClick={() => ask({ what: 'test', name })}>
          <Send aria-hidden size={14} />
        </IconButton>
        <IconButton
          label={`Replace the secret of ${name}`}
          onClick={() => ask({ what: 'rotate', name })}
        >
          <RefreshCw aria-hidden size={14} />
        </IconButton>
        <IconButton
          label={`${enabled ? 'Disable' : 'Enable'} ${name}`}
          onClick={() => ask({ what: 'enable', name, enabled: !enabled })}
        >
          {enabled ? <Pause aria-hidden size={14} /> : <Play aria-hidden size={14} />}
        </IconButton>
        <IconButton label={`Delete ${name}`} isGrave onClick={() => ask({ what: 'delete', name })}>
          <Trash2 aria-hidden size={14} />
        </IconButton>
      </div>
    ),
  }
}
