type Source = { silent: boolean; epochs: { ended: boolean }[] }

/** Tells whether a source posts. */
export function State({ source: { silent, epochs } }: { source: Source }) {
  if (silent) return <span class="badge bad">silent</span>
  const isEnded = epochs.length > 0 && epochs.every(({ ended }) => ended)
  return isEnded ? <span class="muted">shut down</span> : <span>posts</span>
}
