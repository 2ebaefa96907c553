import { CircleAlert, Inbox } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import type { Failure } from '../api.ts'

/** Something went wrong, and what to do. What was there before stays above or below it. */
export function Failed({ failure, onRetry }: { failure: Failure; onRetry?: () => void }) {
  return (
    <div class="notice bad" role="alert">
      <CircleAlert aria-hidden size={18} />
      <p>{failure.message}</p>
      {onRetry && (
        <button type="button" class="small" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  )
}

/** There is nothing (yet), and how there comes to be something. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Inbox aria-hidden size={28} strokeWidth={1.5} />
      <p class="title">{title}</p>
      {children && <p>{children}</p>}
    </div>
  )
}

/** Stands where a text will be, as wide as it. */
export function Bone({ width = '6ch' }: { width?: string }) {
  return <span class="bone" style={{ width }} aria-hidden />
}

/** Said to who can't see that something is being loaded. */
export const Busy = ({ what }: { what: string }) => (
  <span class="unseen" role="status">
    Loading {what}
  </span>
)
