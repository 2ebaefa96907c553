import { CircleAlert, Inbox } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import type { Failure } from '../api.ts'

/** Shows what went wrong, and a button to retry. Previous content stays above or below it. */
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

/** Shows that there is nothing (yet), and how to add something. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Inbox aria-hidden size={28} strokeWidth={1.5} />
      <p class="title">{title}</p>
      {children && <p>{children}</p>}
    </div>
  )
}

/** A placeholder for text that has not loaded yet, about as wide as the text. */
export function Bone({ width = '6ch' }: { width?: string }) {
  return <span class="bone" style={{ width }} aria-hidden />
}

/** Tells screen readers that something is loading. */
export const Busy = ({ what }: { what: string }) => (
  <span class="unseen" role="status">
    Loading {what}
  </span>
)
