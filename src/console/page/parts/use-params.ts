import { useLocation, useSearch } from 'wouter-preact'

/** Returns the URL's parameters and a function that changes some of them; null removes one. */
export function useParams(): [
  params: URLSearchParams,
  change: (changes: Record<string, string | null>) => void,
] {
  const search = useSearch()
  const [path, go] = useLocation()
  const params = new URLSearchParams(search)
  const change = (changes: Record<string, string | null>) => {
    const next = new URLSearchParams(location.search)
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === '') next.delete(name)
      else next.set(name, value)
    }
    go(next.size === 0 ? path : `${path}?${next}`, { replace: true })
  }
  return [params, change]
}
