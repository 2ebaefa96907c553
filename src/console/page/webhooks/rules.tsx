import { formatCount, formatTime } from '../format.ts'
import { Empty } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { To } from '../parts/to.tsx'
import { describeRule, describeSubject } from './describe.ts'
import type { Rule } from './load.ts'

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

/** Lists the rules of the catalog with their present state. */
export function Rules({ items }: { items: Rule[] }) {
  return (
    <section class="card" aria-label="All rules">
      <header>
        <h2>Rules</h2>
      </header>
      {items.length === 0 ? (
        <Empty title="There is no rule yet.">
          A rule of the catalog says what should not happen, such as a success rate below 95 %.
        </Empty>
      ) : (
        <Table caption="Rules" columns={COLUMNS} items={items} keyOf={({ name }) => name} />
      )}
    </section>
  )
}
