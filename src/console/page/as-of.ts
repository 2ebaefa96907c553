import { useSearch } from 'wouter-preact'

/** The time or position that a page shows, as query parameters of the service; empty: now. */
export type AsOf = { as_of?: string; as_of_position?: string }

const NAMES = ['as_of', 'as_of_position'] as const

/** Returns the page's as-of. It is part of the URL, so that links and the back button keep it. */
export function useAsOf(): AsOf {
  return readAsOf(useSearch())
}

/** Reads the as-of from a query string. */
export function readAsOf(search: string): AsOf {
  const params = new URLSearchParams(search)
  for (const name of NAMES) {
    const value = params.get(name)
    if (value) return { [name]: value }
  }
  return {}
}

/** True if the page shows the past. */
export const isPast = ({ as_of, as_of_position }: AsOf) => Boolean(as_of ?? as_of_position)

/** Returns a URL with its as-of replaced. */
export function withAsOf(href: string, asOf: AsOf): string {
  const [path, search = ''] = href.split('?', 2)
  const params = new URLSearchParams(search)
  for (const name of NAMES) params.delete(name)
  for (const [name, value] of Object.entries(asOf)) params.set(name, value)
  const text = params.toString().replaceAll('%3A', ':').replaceAll('%2F', '/')
  return text === '' ? path! : `${path}?${text}`
}
