import { ChooseColumns, useChosenMeasures } from '../declared/columns.tsx'
import { formatRate } from '../format.ts'
import { Rate } from '../parts/rate.tsx'
import { SaveList } from '../parts/save-list.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { useParams } from '../parts/use-params.ts'
import { type Counts, REQUESTS, type Shown, shownMeasure, TOKENS } from './counts.ts'
import { type DividedItem, keepLargest, labelOf, OTHER, type Part, toParts } from './divide.ts'
import { Swatch } from './readout.tsx'
import type { View } from './whole.tsx'

/** Number of values that are shown at first. */
const FEW = 10

/** The counts of each value, and of all of them. */
export type Totals = { items: Omit<DividedItem, 'from'>[]; total: Counts }

type Props = View & {
  by: string
  /** What was read; undefined: nothing yet. */
  read: Totals | undefined
  /** Names the colour of a value in the chart. */
  colourOf: (value: string | null) => string
  /** Reads more values, to save them. */
  load: () => Promise<Totals>
}

/** A row: a value, or all of them together. */
type Row = Part & { isTotal?: boolean }

/** Lists the values of a dimension with their counts in the whole range, the largest first. */
export function Values({ by, name, shown, counts, read, colourOf, load }: Props) {
  const [params, change] = useParams()
  const measures = useChosenMeasures().map((one) => shownMeasure(one.name, one.unit ?? null))
  const isAll = params.get('values') === 'all'
  const parts = read && toParts(read.items, by)
  const kept = parts && keepLargest(parts, shown, isAll ? parts.length : FEW)
  const rows: Row[] | undefined = kept && [
    ...kept,
    { value: null, counts: read!.total, isTotal: true },
  ]
  const total = read ? shown.read(read.total) : 0
  // Successes and failures have a rate.
  const others = [...measures, counts.find(({ title }) => title === 'Requests')!].filter(
    ({ id }) => id !== shown.id,
  )
  const isWide = measures.length > 0
  const columns: Column<Row>[] = [
    {
      title: 'Value',
      wraps: true,
      // Otherwise it takes what the others leave.
      ...(isWide && { chars: 24 }),
      show: ({ value, isTotal }) =>
        isTotal ? <b>All</b> : <Value value={value} by={by} colour={colourOf(value)} />,
    },
    toColumn(shown),
    {
      title: 'Share',
      ...{ align: 'end', chars: isWide ? 14 : 25, phoneChars: 11 },
      show: ({ value, counts: part, isTotal }) => {
        if (isTotal) return null
        const share = total === 0 ? 0 : Number(shown.read(part)) / Number(total)
        return isWide ? formatRate(share) : <Share share={share} colour={colourOf(value)} />
      },
    },
    ...others.map((one) => ({
      ...toColumn(one),
      // Nobody chose the counts, so a small screen need not show them.
      ...(counts.includes(one) && ({ chars: 14, rank: 3 } as const)),
    })),
    ...(counts[0] === REQUESTS[0] ? [SUCCESS_RATE] : []),
  ]
  return (
    <section class="values" aria-label={`Usage by ${by}`}>
      <header>
        <h3>{`By ${by}`}</h3>
        <div class="choices">
          {parts && parts.length > FEW + 2 && (
            <button
              type="button"
              class="small"
              onClick={() => change({ values: isAll ? null : 'all' })}
            >
              {isAll ? 'Fewer values' : 'More values'}
            </button>
          )}
          <ChooseColumns />
          <SaveList name={`${name} by ${by}`} load={async () => toLines(await load(), by)} />
        </div>
      </header>
      {parts?.length !== 0 && (
        <Table
          caption={`${name} by ${by}`}
          columns={columns}
          items={rows}
          keyOf={({ value, isTotal }) => JSON.stringify([value, isTotal])}
          isWide={isWide}
        />
      )}
      {parts?.some(({ value }) => value === OTHER) && (
        <p class="muted">
          The largest values are apart. The rest is added up as other, as are values beyond the
          limit of a day.
        </p>
      )}
    </section>
  )
}

const Value = ({ value, by, colour }: { value: string | null; by: string; colour: string }) => (
  <span class={value === null || value === OTHER ? 'muted' : ''} title={value ?? ''}>
    <Swatch colour={colour} />
    {labelOf(value, by)}
  </span>
)

/** A share of the total as digits and as a bar. */
const Share = ({ share, colour }: { share: number; colour: string }) => (
  <span class="rate">
    <span class="digits">{formatRate(share)}</span>
    <span class="track" aria-hidden>
      <span class="fill" style={{ width: `${share * 100}%`, background: `var(--${colour})` }} />
    </span>
  </span>
)

const toColumn = (shown: Shown): Column<Row> => ({
  ...{ title: shown.title, align: 'end', chars: 18, phoneChars: 14 },
  show: ({ counts }) => shown.unit.format(shown.read(counts)),
})

const SUCCESS_RATE: Column<Row> = {
  ...{ title: 'Success rate', align: 'end', chars: 25, phoneChars: 12, rank: 2 },
  show: ({ counts: { total_requests: requests = 0, success_requests: successes = 0 } }) => (
    <Rate rate={Number(successes) / Number(requests)} total={requests} />
  ),
}

/** The lines of a CSV file: a header, and the counts of each value. */
function toLines({ items, total }: Totals, by: string) {
  const counts = REQUESTS[0]!.id in total ? REQUESTS : TOKENS
  const measures = Object.keys(total.measures ?? {}).map((name) => shownMeasure(name, null))
  return [
    [by, ...counts.map(({ id }) => id), ...measures.map(({ title }) => title)],
    ...items.map((item) => [
      item.dimensions[by] ?? null,
      ...[...counts, ...measures].map(({ read }) => read(item)),
    ]),
  ]
}
