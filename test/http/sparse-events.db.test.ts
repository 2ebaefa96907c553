import { beforeAll, expect, test } from 'bun:test'
import { insertEventAt } from '../support/events.ts'
import { useService } from '../support/service.ts'

// Pages of events by a filter that few or no events pass: each looks at a bounded part of the log,
// and pages together find all of them.

const service = useService()

/** More than one page looks at. */
const MANY = 120_000

type Page = { items: { shard: number; position: number }[]; next_after: string | null }

beforeAll(async () => {
  // A log with a hole is looked through as one without.
  for (const shard of [0, 1]) {
    for (const [position, source] of [
      [0, 'rare'],
      [1, 'dp'],
      [MANY, 'dp'],
      [MANY + 1, 'rare'],
    ]) {
      await insertEventAt(service.database.owner, shard, Number(position), String(source))
    }
  }
})

/** All pages of a list: what is on them, and how many there were. */
async function readAll(query: string, next: 'next_after' | 'next_before') {
  const places: string[] = []
  let pages = 0
  for (let from = ''; pages < 20; ) {
    const key = next === 'next_after' ? 'after' : 'before'
    const page = await service.read<Page & { next_before: string | null }>(
      `/audit/events?${query}${from === '' ? '' : `&${key}=${from}`}`,
    )
    pages++
    places.push(...page.items.map(({ shard, position }) => `${shard}/${position}`))
    if (page[next] === null) break
    from = page[next]
  }
  return { places, pages }
}

const FOUND = ['0/0', '1/0', `0/${MANY + 1}`, `1/${MANY + 1}`]

test('they find what is rare, in both orders, in one shard and in all', async () => {
  const forward = await readAll('source=rare&shard=all', 'next_after')
  expect(forward.places.sort()).toEqual([...FOUND].sort())
  expect(forward.pages).toBeGreaterThan(1)
  const backward = await readAll('source=rare&shard=all&order=desc', 'next_before')
  expect(backward.places.sort()).toEqual([...FOUND].sort())
  const one = await readAll('source=rare&shard=1', 'next_after')
  expect(one.places).toEqual([FOUND[1]!, FOUND[3]!])
  const newest = await readAll('source=rare&shard=1&order=desc', 'next_before')
  expect(newest.places).toEqual([FOUND[3]!, FOUND[1]!])
})

test('they come to an end where nothing is found', async () => {
  for (const query of ['source=nobody&shard=all', 'type=OriginChanged&shard=0']) {
    const { places, pages } = await readAll(query, 'next_after')
    expect(places).toEqual([])
    expect(pages).toBeGreaterThan(1)
    expect(pages).toBeLessThan(20)
    expect((await readAll(`${query}&order=desc`, 'next_before')).places).toEqual([])
  }
})
