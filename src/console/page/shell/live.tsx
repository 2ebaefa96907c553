import { isPast, useAsOf } from '../as-of.ts'
import { formatCount } from '../format.ts'
import { heads, isConnected } from '../live.ts'
import { shown } from '../shown.ts'
import { countBehind } from './behind.ts'

/** Whether what is shown is the newest, and at which position of the log it stands. */
export function Live() {
  const past = isPast(useAsOf())
  const state = past ? 'past' : isConnected.value ? 'live' : 'away'
  const title = { past: 'Past', live: 'Live', away: 'Reconnecting' }[state]
  const behind = past ? 0 : countBehind(heads.value, shown.value)
  return (
    <p class={`live ${state}`}>
      <span class="dot" aria-hidden />
      <span role="status">{title}</span>
      {shown.value && (
        <span class="position" title="Position in the log that the numbers reflect, a shard each">
          {isEmpty(shown.value) ? 'nothing in the log yet' : `at ${shorten(shown.value)}`}
        </span>
      )}
      {behind > 0 && <span class="position">{formatCount(behind)} behind</span>}
    </p>
  )
}

const isEmpty = (positions: string) => /^(\d+\/-1,?)*$/.test(positions)

const shorten = (positions: string) =>
  positions.length > 40 ? `${positions.slice(0, 40)}…` : positions
