import { useLayoutEffect } from 'preact/hooks'

/** The heading of a page, and its name in tabs, in the history and to screen readers. */
export function Title({ children }: { children: string }) {
  useLayoutEffect(() => {
    document.title = `${children} · Tallybook`
  }, [children])
  return <h1>{children}</h1>
}
