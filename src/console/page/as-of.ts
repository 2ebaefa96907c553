import { useSearch } from 'wouter-preact'

/** When the page is as of, as the service's queries name it; empty: now. */
export type AsOf = { as_of?: string; as_of_position?: string }

const NAMES = ['as_of', 'as_of_position'] as const

/** It stands in the address, so that a link and the back button keep it. */
export function useAsOf(): AsOf {
  return readAsOf(useSearch())
}

export function readAsOf(search: string): AsOf {
  const params = new URLSearchParams(search)
  for (const name of NAMES) {
    const value = params.get(name)
    if (value) return { [name]: value }
  }
  return {}
}

export const isPast = ({ as_of, as_of_position }: AsOf) => Boolean(as_of ?? as_of_position)

/** The same address as of then. */
export function withAsOf(href: string, asOf: AsOf): string {
  const [path, search = ''] = href.split('?', 2)
  const params = new URLSearchParams(search)
  for (const name of NAMES) params.delete(name)
  for (const [name, value] of Object.entries(asOf)) params.set(name, value)
  const text = params.toString().replaceAll('%3A', ':').replaceAll('%2F', '/')
  return text === '' ? path! : `${path}?${text}`
}
