import { beforeAll, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useInstances } from '../support/service.ts'

// The lists of dimensions and measures, which another instance than the one that was asked for the
// changes answers.

const [writer, service] = useInstances()

type Item = { name: string; unit?: string | null; ended_at?: string }
type Page = { items: Item[]; next_cursor: string | null }

const read = (path: string) => service.read<Page>(path)
const namesOf = async (path: string) => (await read(path)).items.map(({ name }) => name)

let first = ''
beforeAll(async () => {
  first = positionOf(
    await writer.putCatalog({
      dimensions: [{ name: 'status' }, { name: 'model_a' }, { name: 'modelb' }],
      measures: [{ name: 'seconds' }, { name: 'cost', unit: 'USD' }],
    }),
  )
  await writer.fetch('admin', '/admin/dimensions/status', { method: 'DELETE' })
  await writer.putCatalog({ measures: [{ name: 'cost', unit: 'EUR' }, { name: 'tokens' }] })
  await writer.fetch('admin', '/admin/measures/seconds', { method: 'DELETE' })
})

test('what is declared now is listed by name', async () => {
  expect(await read('/admin/dimensions')).toEqual({
    items: [{ name: 'model_a' }, { name: 'modelb' }],
    next_cursor: null,
  })
  expect((await read('/admin/measures')).items).toEqual([
    { name: 'cost', unit: 'EUR' },
    { name: 'tokens', unit: null },
  ])
})

test('retired ones are listed on request, with their end', async () => {
  const ended_at = expect.stringMatching(/^\d{4}-.*\+00:00$/) as unknown as string
  expect((await read('/admin/dimensions?ended=true')).items).toEqual([
    ...[{ name: 'model_a' }, { name: 'modelb' }, { name: 'status', ended_at }],
  ])
  expect((await read('/admin/measures?ended=true')).items).toEqual([
    { name: 'cost', unit: 'EUR' },
    { name: 'seconds', unit: null, ended_at },
    { name: 'tokens', unit: null },
  ])
})

test('a list as of a position has what was declared then', async () => {
  const then = `as_of_position=${first}`
  expect(await namesOf(`/admin/dimensions?${then}`)).toEqual(['model_a', 'modelb', 'status'])
  expect((await read(`/admin/measures?${then}`)).items).toEqual([
    { name: 'cost', unit: 'USD' },
    { name: 'seconds', unit: null },
  ])
  const before = await service.fetch('admin', '/admin/measures?as_of_position=0/-1')
  expect(before.headers.get('tallybook-position')).toStartWith('0/-1')
  expect(await before.json()).toEqual({ items: [], next_cursor: null })
})

test('a list is read in pages, in either order', async () => {
  const seen: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query = `sort=-name&ended=true&limit=2${cursor && `&cursor=${cursor}`}`
    const page = await read(`/admin/measures?${query}`)
    expect(page.items.length).toBeLessThanOrEqual(2)
    seen.push(...page.items.map(({ name }) => name))
    cursor = page.next_cursor
  }
  expect(seen).toEqual(['tokens', 'seconds', 'cost'])
  const wrong = await service.fetch('admin', '/admin/measures?cursor=x')
  await expectProblem(wrong, 400, 'invalid query')
})

test('names are searched', async () => {
  expect(await namesOf('/admin/dimensions?search=DELB')).toEqual(['modelb'])
  expect(await namesOf('/admin/dimensions?search=stat')).toEqual([])
})
