import { expect, test } from 'bun:test'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { useCommands } from '../cli/one-process.ts'
import { useService } from '../support/service.ts'
import { expectExamples, readGuide } from './guide.ts'

// docs/guides/llm-gateways.md: its worked example, its tables and its code.

const GUIDE = 'llm-gateways.md'
const TOKENS_OF_KINDS = LLM_CONVENTIONS.measures.slice(0, 5).map(({ name }) => name)

const service = useService({ shards: 1 })
const commands = useCommands()

test('every command of the guide answers what is shown below it', async () => {
  expect(await expectExamples(GUIDE, service, commands)).toBe(5)
})

/** Returns the cells of the rows of the first table of a section. */
function readTable(heading: string): string[][] {
  const section = readGuide(GUIDE).split(`\n${heading}\n`)[1]!
  const [table] = section.match(/(?:^\|.*\|\n)+/m)!
  const rows = table.trim().split('\n').slice(2)
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
}

const withoutQuotes = (cell: string) => cell.replaceAll('`', '')

test('the tables have the names and units that the command declares', () => {
  const dimensions = readTable('## Dimensions').map(([name]) => ({ name: withoutQuotes(name!) }))
  expect(dimensions).toEqual([...LLM_CONVENTIONS.dimensions])
  const measures = readTable('## Measures').map(([name, unit]) => ({
    name: withoutQuotes(name!),
    ...(unit === '' ? {} : { unit: withoutQuotes(unit!) }),
  }))
  expect(measures).toEqual([...LLM_CONVENTIONS.measures])
  const byProvider = readTable('### From what providers report')
  expect(byProvider.map(([name]) => withoutQuotes(name!))).toEqual(TOKENS_OF_KINDS)
})

test('the code returns the measures of each example, and never a negative number', () => {
  const [, code] = readGuide(GUIDE).match(/^```js\n([\s\S]*?)^```/m)!
  const functions = new Function(`${code}; return { OpenAI: measuresOfOpenAi,
    Anthropic: measuresOfAnthropic }`)() as Record<string, (usage: object) => object>
  const examples = [...readGuide(GUIDE).matchAll(/^\| (\w+) `(\{.*\})` \| ([\d, ]+) \|$/gm)]
  expect(examples.length).toBe(4)
  for (const [, provider, usage, expected] of examples) {
    const measures = functions[provider!]!(JSON.parse(usage!))
    expect(Object.keys(measures)).toEqual(TOKENS_OF_KINDS)
    expect(Object.values(measures)).toEqual(expected!.split(', ').map(Number))
  }
  const beside = { completion_tokens: 5, completion_tokens_details: { reasoning_tokens: 7 } }
  expect(functions.OpenAI!(beside)).toMatchObject({ output_tokens: 0, reasoning_tokens: 7 })
})
