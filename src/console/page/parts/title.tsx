import { useEffect } from 'preact/hooks'

/** The heading of a page, and its name in tabs, in the history and to screen readers. */
export function Title({ children }: { children: string }) {
  useEffect(() => {
    document.title = `${children} · Tallybook`
  }, [children])
  return <h1>{children}</h1>
}
