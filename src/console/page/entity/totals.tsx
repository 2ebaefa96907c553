import type { Exact } from '../../../events/exact.ts'
import { formatCount, formatRate } from '../format.ts'
import { gradeOf } from '../parts/rate.tsx'
import { Bone } from '../parts/states.tsx'
import type { ItemOf, loadGroups } from './lists.ts'

/** What was counted of requests, as the service gives it. */
export type Rated = Omit<ItemOf<typeof loadGroups>, 'id' | 'name'>

/** Requests, successes and failures, and their rates. */
export function Totals({ of }: { of: Rated | undefined }) {
  const grade = of ? gradeOf(of.success_rate, of.total_requests) : 'none'
  // Of nothing there is no rate.
  const rateOf = (rate: number | undefined) => (grade === 'none' ? undefined : rate)
  return (
    <dl class="totals">
      <Total title="Requests" count={of?.total_requests} />
      <Total title="Successes" count={of?.success_requests} rate={rateOf(of?.success_rate)} />
      <Total
        title="Failures"
        count={of?.failure_requests}
        rate={rateOf(of?.failure_rate)}
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
