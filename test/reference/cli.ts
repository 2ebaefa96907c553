import { COMMANDS } from '../../src/cli/index.ts'
import { page } from './markdown.ts'

/** docs/reference/cli.md. */
export async function describeCommands(): Promise<string> {
  const sections = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, { help, load }]) => {
      const text = help.slice(name.length).trim()
      const summary = `${text[0]!.toUpperCase()}${text.slice(1)}.`
      const { usage } = await load()
      return `## ${name}\n\n${summary}\n\n\`\`\`text\n${usage}\n\`\`\``
    }),
  )
  return page('Commands', 'the usage texts of src/cli', [
    'In the project folder, run each as `bun run tallybook <command>`; `serve` ' +
      'is the default. They read the same [environment variables](environment.md) as the ' +
      'service.',
    'A command ends with 0 if it succeeded and with 1 if it failed. `verify`, `audit` ' +
      'and `compare` end with 0 if they found nothing, 1 if they found something, and 2 if they could not check. ' +
      'After Ctrl-C a command cleans up and ends with 130; a second Ctrl-C ends it at once.',
    ...sections,
  ])
}
