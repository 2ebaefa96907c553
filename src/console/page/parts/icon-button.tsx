import type { ComponentChildren } from 'preact'

type Props = {
  /** The name of the button, for a screen reader and as a tooltip. */
  label: string
  isGrave?: boolean
  onClick: () => void
  children: ComponentChildren
}

/** A small button of a row that shows an icon. */
export const IconButton = ({ label, isGrave = false, onClick, children }: Props) => (
  <button
    type="button"
    class={isGrave ? 'small grave-quiet' : 'small'}
    aria-label={label}
    title={label}
    onClick={onClick}
  >
    {children}
  </button>
)
