import { Ban, Pencil, RotateCcw } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { isPast, useAsOf } from '../as-of.ts'
import { formatTime } from '../format.ts'
import { Title } from '../parts/title.tsx'
import { isAdmin } from '../session.ts'

type Props = {
  kind: string
  name: string | undefined
  endedAt: string | undefined
  children: ComponentChildren
  /** The dialogs that change the row and end it. */
  edit: (close: () => void) => ComponentChildren
  end: (close: () => void) => ComponentChildren
  /** The dialog that resets the row's quota, if it has one. */
  reset?: ((close: () => void) => ComponentChildren) | undefined
}

/** The header of a catalog row's page: what the row is, and what an admin can do with it. */
export function Head({ kind, name, endedAt, children, edit, end, reset }: Props) {
  const [asked, setAsked] = useState<'edit' | 'end' | 'reset' | null>(null)
  const close = () => setAsked(null)
  const canChange = isAdmin() && !isPast(useAsOf()) && name !== undefined
  return (
    <header class="entity">
      <div>
        <p class="kind">{kind}</p>
        <Title>{name ?? '…'}</Title>
        <p class="facts">
          {endedAt && <span class="badge bad">ended {formatTime(endedAt, 'minute')}</span>}
          {children}
        </p>
      </div>
      {canChange && (
        <div class="choices">
          <button type="button" onClick={() => setAsked('edit')}>
            <Pencil aria-hidden size={14} /> Change
          </button>
          {reset && (
            <button type="button" onClick={() => setAsked('reset')}>
              <RotateCcw aria-hidden size={14} /> Reset quota
            </button>
          )}
          {!endedAt && (
            <button type="button" class="grave-quiet" onClick={() => setAsked('end')}>
              <Ban aria-hidden size={14} /> End
            </button>
          )}
        </div>
      )}
      {asked === 'edit' && edit(close)}
      {asked === 'end' && end(close)}
      {asked === 'reset' && reset?.(close)}
    </header>
  )
}
