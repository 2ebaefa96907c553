import { ArrowUp } from 'lucide-preact'
import { useEffect, useRef, useState } from 'preact/hooks'

/** Whether the reader has scrolled past a place, which is to hold `mark`. */
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

/** Back to where the newest events come: while somebody reads older ones, none push them away. */
export const ToNewest = () => (
  <p class="to-newest">
    <button type="button" class="small" onClick={() => window.scrollTo(0, 0)}>
      <ArrowUp aria-hidden size={14} /> To the newest
    </button>
  </p>
)
