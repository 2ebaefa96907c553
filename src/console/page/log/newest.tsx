import { ArrowUp } from 'lucide-preact'
import { useEffect, useRef, useState } from 'preact/hooks'

/** Returns `mark`, a ref for an element, and whether the user has scrolled past that element. */
export function useIsPast() {
  const mark = useRef<HTMLDivElement>(null)
  const [past, setPast] = useState(false)
  useEffect(() => {
    const observer = new IntersectionObserver(([seen]) => {
      if (seen) setPast(!seen.isIntersecting && seen.boundingClientRect.top < 0)
    })
    observer.observe(mark.current!)
    return () => observer.disconnect()
  }, [])
  return { mark, isPast: past }
}

/** Scrolls back to the newest events: while the user reads older ones, none are added. */
export const ToNewest = () => (
  <p class="to-newest">
    <button type="button" class="small" onClick={() => window.scrollTo(0, 0)}>
      <ArrowUp aria-hidden size={14} /> Jump to newest
    </button>
  </p>
)
