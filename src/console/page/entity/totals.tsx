import type { Exact } from '../../../events/exact.ts'
import { formatCount, formatRate } from '../format.ts'
import { gradeOf } from '../parts/rate.tsx'
import { Bone } from '../parts/states.tsx'
import type { ItemOf, loadGroups } from './lists.ts'

/** Counts of requests and their rates, as the service returns them. */
export type Rated = Omit<ItemOf<typeof loadGroups>, 'id' | 'external_id' | 'name'>

/** Shows requests, successes and failures, with their rates. */
export function Totals({ counts }: { counts: Rated | undefined }) {
  const grade = counts ? gradeOf(counts.success_rate, counts.total_requests) : 'none'
  // Without requests there is no rate.
  const rateOf = (rate: number | undefined) => (grade === 'none' ? undefined : rate)
  return (
    <dl class="totals">
      <Total title="Requests" count={counts?.total_requests} />
      <Total
        title="Successes"
        count={counts?.success_requests}
        rate={rateOf(counts?.success_rate)}
      />
      <Total
        title="Failures"
        count={counts?.failure_requests}
        rate={rateOf(counts?.failure_rate)}
        grade={grade}
      />
    </dl>
  )
}

type TotalProps = {
  title: string
  count: Exact | undefined
  rate?: number | undefined
  grade?: string
}

/** Shows one count, with its rate if it has one. */
export function Total({ title, count, rate, grade = '' }: TotalProps) {
  return (
    <div class={`card total ${grade}`}>
      <dt>{title}</dt>
      <dd>
        <b>{count === undefined ? <Bone width="7ch" /> : formatCount(count)}</b>
        {rate !== undefined && <span class="share">{formatRate(rate)}</span>}
      </dd>
    </div>
  )
}
