import { useLayoutEffect } from 'preact/hooks'

/** The heading of a page, which is also its name in tabs, the history and screen readers. */
export function Title({ children }: { children: string }) {
  useLayoutEffect(() => {
    document.title = `${children} · Tallybook`
  }, [children])
  return <h1>{children}</h1>
}
