import { UserError } from '../platform/user-error.ts'
import { type Client, connectToService } from './client.ts'
import { type Conventions, LLM_CONVENTIONS } from './llm-conventions.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE =
  'Usage: tallybook catalog init llm\n' +
  'Declares the dimensions and measures of docs/guides/llm-gateways.md, in one change. Those\n' +
  'that are declared already stay as they are, with their units. The service must be running\n' +
  'at TALLYBOOK_HOST and TALLYBOOK_PORT.'

/** Declares the dimensions and measures of a kind of gateway in the running service. */
export async function catalog(args: string[]): Promise<void> {
  if (args.join(' ') !== 'init llm') throw new UserError(USAGE)
  const { send } = await connectToService(['admin'])
  for (const line of await declare(send, LLM_CONVENTIONS)) console.log(line)
}

type Declared = { items: { name: string; unit?: string | null }[] }

/** Declares what is missing, and returns lines that say what was done. */
async function declare(
  send: Client<'admin'>['send'],
  { dimensions, measures }: Conventions,
): Promise<string[]> {
  const read = async (path: string) => {
    const { items } = await send<Declared>('admin', 'GET', `${path}?limit=100`)
    return new Map(items.map(({ name, unit }) => [name, unit ?? null]))
  }
  const declared = {
    dimensions: await read('/admin/dimensions'),
    measures: await read('/admin/measures'),
  }
  const missing = {
    dimensions: dimensions.filter(({ name }) => !declared.dimensions.has(name)),
    measures: measures.filter(({ name }) => !declared.measures.has(name)),
  }
  const isComplete = missing.dimensions.length + missing.measures.length === 0
  if (!isComplete) await send('admin', 'PUT', '/admin/catalog', missing)
  return [
    ...describeNew('dimensions', missing.dimensions),
    ...describeNew('measures', missing.measures),
    ...(isComplete ? ['Everything is declared already: nothing was changed.'] : []),
    ...measures
      .filter(({ name }) => declared.measures.has(name))
      .map(({ name, unit = null }) => ({ name, unit, kept: declared.measures.get(name)! }))
      .filter(({ unit, kept }) => kept !== unit)
      .map(({ name, unit, kept }) => `${name} keeps its unit, ${kept ?? 'none'}, not ${unit}.`),
  ]
}

function describeNew(kind: string, rows: readonly { name: string }[]): string[] {
  if (rows.length === 0) return []
  return [`Declared ${kind}: ${rows.map(({ name }) => name).join(', ')}.`]
}
