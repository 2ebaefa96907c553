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
  for (let shard = 0; shard < service.shards; shard++) {
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

const foundIn = (shard: number) => [`${shard}/0`, `${shard}/${MANY + 1}`]

test('they find what is rare, in both orders, in one shard and in all', async () => {
  const all = Array.from({ length: service.shards }, (_, shard) => foundIn(shard)).flat()
  const forward = await readAll('source=rare&shard=all', 'next_after')
  expect(forward.places.sort()).toEqual([...all].sort())
  expect(forward.pages).toBeGreaterThan(1)
  const backward = await readAll('source=rare&shard=all&order=desc', 'next_before')
  expect(backward.places.sort()).toEqual([...all].sort())
  const last = service.shards - 1
  const one = await readAll(`source=rare&shard=${last}`, 'next_after')
  expect(one.places).toEqual(foundIn(last))
  const newest = await readAll(`source=rare&shard=${last}&order=desc`, 'next_before')
  expect(newest.places).toEqual(foundIn(last).toReversed())
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
