import { Ban, Pencil, Plus } from 'lucide-preact'
import { useState } from 'preact/hooks'
import { formatCount, formatTime } from '../format.ts'
import { IconButton } from '../parts/icon-button.tsx'
import { Empty } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { To } from '../parts/to.tsx'
import { isAdmin } from '../session.ts'
import { describeRule, describeSubject } from './describe.ts'
import type { Rule } from './load.ts'
import { EditRule, EndRule } from './rule-dialogs.tsx'

/** The dialog that is open. */
type Asked = { what: 'add' } | { what: 'change' | 'end'; row: Rule }

const COLUMNS: Column<Rule>[] = [
  { title: 'Rule', ...{ chars: 18, phoneChars: 11 }, wraps: true, show: ({ name }) => name },
  { title: 'What should not happen', ...{ rank: 2 }, wraps: true, show: describeRule },
  {
    title: 'State',
    ...{ chars: 14, phoneChars: 10 },
    show: ({ crossed }) =>
      crossed === 0 ? (
        <span class="muted">clear</span>
      ) : (
        <span class="badge bad">{crossed === 1 ? 'crossed' : `${formatCount(crossed)} cross`}</span>
      ),
  },
  {
    title: 'Newest',
    ...{ chars: 36, phoneChars: 13 },
    wraps: true,
    show: ({ crossings }) => {
      const newest = crossings.at(-1)
      return (
        newest && (
          <To href={`/events/${newest.position}`}>
            {describeSubject(newest.subject)}, {formatTime(newest.since, 'minute')}
          </To>
        )
      )
    },
  },
]

/** Lists the rules of the catalog with their present state; an admin changes them here. */
export function Rules({ items, reload }: { items: Rule[]; reload: () => Promise<void> }) {
  const [asked, setAsked] = useState<Asked | null>(null)
  return (
    <section class="card" aria-label="All rules">
      <header>
        <h2>Rules</h2>
        {isAdmin() && (
          <button type="button" class="small" onClick={() => setAsked({ what: 'add' })}>
            <Plus aria-hidden size={14} /> Add a rule
          </button>
        )}
      </header>
      {items.length === 0 ? (
        <Empty title="There is no rule yet.">
          A rule of the catalog says what should not happen, such as a success rate below 95 %.
        </Empty>
      ) : (
        <Table
          caption="Rules"
          columns={isAdmin() ? [...COLUMNS, changes(setAsked)] : COLUMNS}
          items={items}
          keyOf={({ name }) => name}
          isWide={isAdmin()}
        />
      )}
      {asked && <Asking asked={asked} close={() => setAsked(null)} done={reload} />}
    </section>
  )
}

type AskingProps = { asked: Asked; close: () => void; done: () => Promise<void> }

function Asking({ asked, ...rest }: AskingProps) {
  if (asked.what === 'add') return <EditRule {...rest} />
  if (asked.what === 'end') return <EndRule name={asked.row.name} {...rest} />
  return <EditRule row={asked.row} {...rest} />
}

/** The buttons of a row. */
function changes(ask: (asked: Asked) => void): Column<Rule> {
  return {
    ...{ title: 'Change', chars: 14, phoneChars: 11 },
    show: (row) => (
      <div class="choices">
        <IconButton label={`Change ${row.name}`} onClick={() => ask({ what: 'change', row })}>
          <Pencil aria-hidden size={14} />
        </IconButton>
        <IconButton label={`End ${row.name}`} isGrave onClick={() => ask({ what: 'end', row })}>
          <Ban aria-hidden size={14} />
        </IconButton>
      </div>
    ),
  }
}
