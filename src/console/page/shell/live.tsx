import { isPast, useAsOf } from '../as-of.ts'
import { formatCount } from '../format.ts'
import { heads, isConnected } from '../live.ts'
import { pagePosition } from '../page-position.ts'
import { countBehind } from './behind.ts'

/** Shows whether the page is live, and the position of the log that it reflects. */
export function Live() {
  const past = isPast(useAsOf())
  const state = past ? 'past' : isConnected.value ? 'live' : 'disconnected'
  const title = { past: 'Past', live: 'Live', disconnected: 'Reconnecting' }[state]
  const behind = past ? 0 : countBehind(heads.value, pagePosition.value)
  return (
    <p class={`live ${state}`}>
      <span class="dot" aria-hidden />
      <span role="status">{title}</span>
      {pagePosition.value && (
        <span class="position" title="Position in the log that the numbers reflect, per shard">
          {isEmpty(pagePosition.value) ? 'the log is empty' : `at ${shorten(pagePosition.value)}`}
        </span>
      )}
      {behind > 0 && <span class="position">{formatCount(behind)} behind</span>}
    </p>
  )
}

const isEmpty = (positions: string) => /^(\d+\/-1,?)*$/.test(positions)

const shorten = (positions: string) =>
  positions.length > 40 ? `${positions.slice(0, 40)}…` : positions
