import { beforeAll, expect, test } from 'bun:test'
import { insertEventAt } from '../support/events.ts'
import { useService } from '../support/service.ts'

// Pages with a filter that few or no events pass. Each page scans a bounded part of the log, and
// together they find all matches.

const service = useService()

/** More positions than one page scans. */
const MANY = 120_000

type Page = { items: { shard: number; position: number }[]; next_after: string | null }

beforeAll(async () => {
  // A log with a gap is scanned like one without.
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

/** Reads all pages of a list. Returns the positions on them and the number of pages. */
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

test('pages find rare events in both orders, in one shard and in all', async () => {
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

test('pages come to an end if there are no matches', async () => {
  for (const query of ['source=nobody&shard=all', 'type=OriginChanged&shard=0']) {
    const { places, pages } = await readAll(query, 'next_after')
    expect(places).toEqual([])
    expect(pages).toBeGreaterThan(1)
    expect(pages).toBeLessThan(20)
    expect((await readAll(`${query}&order=desc`, 'next_before')).places).toEqual([])
  }
})
