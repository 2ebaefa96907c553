import { formatTime } from '../format.ts'
import { Bone } from '../parts/states.tsx'
import type { Range } from './range.ts'

/** A line of the readout: what was counted, as text. */
export type Line = { title: string; text: string; swatch?: string | undefined; isBad?: boolean }

type Props = {
  range: Range
  /** When the bar under the pointer begins (RFC 3339 or ms); null: none. */
  at: string | number | null
  /** undefined: not read yet. */
  lines: Line[] | undefined
  /** True if there may be so many lines that they need more room. */
  isTall?: boolean
}

/** Shows the counts of the bar under the pointer, or the totals. */
export function Readout({ range: { from, to, bucket }, at, lines, isTall = false }: Props) {
  return (
    <p class={isTall ? 'readout tall' : 'readout'} aria-live="polite">
      <span class="when">
        {at === null
          ? `${formatTime(from, 'short')} – ${formatTime(to, 'short')}`
          : formatTime(at, bucket === 'day' ? 'day' : 'short')}
      </span>
      {lines === undefined ? (
        <Bone width="24ch" />
      ) : (
        lines.map(({ title, text, swatch, isBad = false }) => (
          <span key={`${swatch} ${title}`} class={isBad ? 'count bad' : 'count'}>
            {swatch && <Swatch colour={swatch} />}
            {title} <b>{text}</b>
          </span>
        ))
      )}
    </p>
  )
}

/** The colour of a series, next to its name. */
export const Swatch = ({ colour }: { colour: string }) => (
  <span class="swatch" style={{ background: `var(--${colour})` }} aria-hidden />
)
