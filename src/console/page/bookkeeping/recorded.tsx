import { CircleCheck } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { To } from '../parts/to.tsx'

/** Links to the event at a position such as `0/41`. */
export const ToEvent = ({ position }: { position: string }) => (
  <To href={`/events/${position}`}>{position}</To>
)

/** Tells that an event was recorded, and takes the focus, as its dialog has closed. */
export function Recorded({ children }: { children: ComponentChildren }) {
  const notice = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => notice.current?.focus(), [])
  return (
    <div class="notice good" role="status" tabIndex={-1} ref={notice}>
      <CircleCheck aria-hidden size={18} />
      <p>{children}</p>
    </div>
  )
}
