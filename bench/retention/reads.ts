import { percentile } from '../measure.ts'
import { API_KEYS, TOKENS } from '../workload.ts'

/** Pages that are read; `{position}` is a random position in the archive, `{key}` an API key. */
export const PAGES = {
  summary: '/admin/apikey-stats/summary',
  'summary as of': '/admin/apikey-stats/summary?as_of_position=0/{position}',
  'one key as of': '/admin/api-keys/{key}?as_of_position=0/{position}',
  explain: '/audit/explain?api_key_id={key}&after=0/{position}',
  event: '/audit/events/0/{position}',
} as const
export type Page = keyof typeof PAGES

/** Latency (ms) of a page: of each path for the first time, and for the second. */
export type PageLatency = {
  page: Page
  first: { p50Ms: number; p99Ms: number }
  again: { p50Ms: number; p99Ms: number }
}

/** The paths of each page. */
export type Paths = Record<Page, string[]>

/** Chooses paths at random: of each page so many, up to the position `end`. */
export function choosePaths(count: number, end: number): Paths {
  const below = (limit: number) => Math.floor(Math.random() * limit)
  const fill = (path: string) =>
    path
      .replace('{position}', String(1 + below(end - 1)))
      .replace('{key}', String(1 + below(API_KEYS)))
  const choose = (path: string) => Array.from({ length: count }, () => fill(path))
  const entries = Object.entries(PAGES).map(([page, path]) => [page, choose(path)])
  return Object.fromEntries(entries) as Paths
}

/** Reads all paths of each page, one after the other, and then again. */
export async function timePages(url: string, paths: Paths): Promise<PageLatency[]> {
  const pages: PageLatency[] = []
  for (const page of Object.keys(PAGES) as Page[]) {
    const first = await timePaths(url, paths[page])
    pages.push({ page, first, again: await timePaths(url, paths[page]) })
  }
  return pages
}

async function timePaths(url: string, paths: readonly string[]) {
  const ms: number[] = []
  for (const path of paths) {
    const started = performance.now()
    const response = await fetch(url + path, {
      headers: { authorization: `Bearer ${TOKENS.auditor}` },
    })
    await response.text()
    if (!response.ok) throw new Error(`${path}: ${response.status}`)
    ms.push(performance.now() - started)
  }
  return { p50Ms: percentile(ms, 0.5), p99Ms: percentile(ms, 0.99) }
}
