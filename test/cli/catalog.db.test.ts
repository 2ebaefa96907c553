import { expect, test } from 'bun:test'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { TOKENS, useService } from '../support/service.ts'
import { useCommands } from './one-process.ts'

// `tallybook catalog init llm` declares the dimensions and measures of the guide in one step.

const service = useService({ shards: 1 })
const commands = useCommands()

const run = (args: string[], token = TOKENS.admin) =>
  commands.run(['catalog', ...args], {
    TALLYBOOK_PORT: new URL(service.url).port,
    TALLYBOOK_ADMIN_TOKEN: token,
  })

type Row = { name: string; unit?: string | null }
const readAll = async () => {
  const dimensions = await service.read<{ items: Row[] }>('/admin/dimensions')
  const measures = await service.read<{ items: Row[] }>('/admin/measures')
  return { dimensions: dimensions.items, measures: measures.items }
}
const sorted = (rows: readonly Row[]) =>
  rows.map(({ name, unit = null }) => ({ name, unit })).sort((a, b) => (a.name < b.name ? -1 : 1))
const changes = async () => {
  const page = await service.read<{ items: unknown[] }>('/audit/events?shard=0&type=CatalogChanged')
  return page.items.length
}

test('it declares everything in one change, and nothing the second time', async () => {
  expect(await run(['init', 'llm'])).toMatchSnapshot()
  const { dimensions, measures } = await readAll()
  expect(sorted(dimensions)).toEqual(sorted(LLM_CONVENTIONS.dimensions))
  expect(sorted(measures)).toEqual(sorted(LLM_CONVENTIONS.measures))
  expect(await changes()).toBe(1)
  expect(await run(['init', 'llm'])).toMatchSnapshot()
  expect(await changes()).toBe(1)
})

test('it declares what is missing, and keeps the units of others', async () => {
  const remove = (path: string) => service.fetch('admin', path, { method: 'DELETE' })
  expect((await remove('/admin/measures/reasoning_tokens')).status).toBe(204)
  expect((await remove('/admin/dimensions/status')).status).toBe(204)
  await service.putCatalog({ measures: [{ name: 'cost_micros', unit: 'EUR/1e6' }] })
  expect(await run(['init', 'llm'])).toMatchSnapshot()
  const { dimensions, measures } = await readAll()
  expect(sorted(dimensions)).toEqual(sorted(LLM_CONVENTIONS.dimensions))
  expect(measures.find(({ name }) => name === 'cost_micros')?.unit).toBe('EUR/1e6')
})

test('it says why nothing was declared', async () => {
  expect((await run(['init', 'llm'], 'not-the-token')).code).toBe(1)
  await service.fetch('admin', '/admin/dimensions/model', { method: 'DELETE' })
  const dimensions = Array.from({ length: 5 }, (_, i) => ({ name: `own_${i}` }))
  await service.putCatalog({ dimensions })
  expect(await run(['init', 'llm'])).toMatchSnapshot()
  expect((await readAll()).dimensions.map(({ name }) => name)).not.toContain('model')
})

test('wrong arguments are answered with the usage, and --help prints it', async () => {
  const help = await run(['--help'])
  expect(help).toMatchObject({ code: 0, stderr: '' })
  expect(help.stdout).toStartWith('Usage: tallybook catalog init llm\n')
  for (const args of [[], ['init'], ['init', 'other'], ['init', 'llm', 'more']]) {
    expect(await run(args)).toEqual({ code: 1, stdout: '', stderr: help.stdout })
  }
})
