import { expect } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { useCommands } from '../cli/one-process.ts'
import { untilSigned } from '../proofs/verifier/audited.ts'
import { type TestService, TOKENS } from '../support/service.ts'

/** What a guide needs besides the service and its tokens. */
export type Setting = {
  /** Values of more variables, such as the address of another database. */
  variables: Record<string, string>
  /** Other programs, by name: what they print when they are run with these words. */
  programs: Record<string, (words: readonly string[]) => Promise<string>>
}

const BARE: Setting = { variables: {}, programs: {} }
const VARIABLES = { DP: TOKENS.dp, ADMIN: TOKENS.admin, AUDITOR: TOKENS.auditor }

/** Returns the text of a guide. */
export const readGuide = (name: string): string =>
  readFileSync(join(import.meta.dir, '../../docs/guides', name), 'utf8')

/** A command as it is written, and the answer shown below it, in which `…` stands for anything. */
type Example = { command: string; shown: string }

/** Returns the commands of all console sessions. One continues while a quote is open, or by `\`. */
function readExamples(text: string): Example[] {
  const examples: Example[] = []
  let isCommand = false
  for (const [, session] of text.matchAll(/^```console\n([\s\S]*?)^```/gm)) {
    for (const line of session!.split('\n').filter(Boolean)) {
      const example = examples.at(-1)!
      if (line.startsWith('$ ')) examples.push({ command: line.slice(2), shown: '' })
      else if (isCommand) example.command += `\n${line}`
      else example.shown += line.trim()
      const { command, shown } = examples.at(-1)!
      isCommand = shown === '' && (command.endsWith('\\') || command.split("'").length % 2 === 0)
    }
  }
  return examples
}

/** Splits a command into words, as a shell does with these variables. */
function toWords(command: string, variables: Record<string, string>): string[] {
  const lookUp = (name: string) => {
    if (name in variables) return variables[name]!
    throw new Error(`the guide does not set ${name}`)
  }
  const setVariables = (text: string) => text.replace(/\$(\w+)/g, (_, name: string) => lookUp(name))
  const words = command.matchAll(/(?:'[^']*'|"[^"]*"|\\\n|[^\s'"\\])+/g)
  return [...words]
    .map(([word]) => word.replace('\\\n', ''))
    .filter(Boolean)
    .map((word) =>
      word.replace(/'([^']*)'|"([^"]*)"|\$(\w+)/g, (_, literal, quoted, name) =>
        name === undefined ? (literal ?? setVariables(quoted)) : lookUp(name),
      ),
    )
}

/** Sends what a curl command asks for. Only the options that the guide uses are known. */
async function curl(service: TestService, words: readonly string[]): Promise<string> {
  const headers = new Headers()
  let [url, method, body] = ['', '', null as string | null]
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word === '-X') method = words[++i]!
    else if (word === '-d') body = words[++i]!
    else if (word === '-H') headers.append(...(words[++i]!.split(': ') as [string, string]))
    else if (word.startsWith('localhost:3000/')) url = word.replace('localhost:3000', service.url)
    else if (word !== '-s') throw new Error(`unknown to this test: ${word}`)
  }
  const init = { method: method || (body === null ? 'GET' : 'POST'), headers, body }
  return (await fetch(url, init)).text()
}

/**
 * Runs `NAME=value … bun run tallybook …`; http://localhost:3000 is the address of the service.
 * With `|| echo "exit code $?"` behind it, it must fail.
 */
async function tallybook(
  service: TestService,
  commands: ReturnType<typeof useCommands>,
  words: readonly string[],
): Promise<string> {
  const start = words.indexOf('bun')
  const env = Object.fromEntries(words.slice(0, start).map((word) => word.split('=')))
  const or = words.indexOf('||')
  const [run, name, ...args] = words.slice(start + 1, or < 0 ? words.length : or)
  expect([run, name]).toEqual(['run', 'tallybook'])
  if (args[0] === 'audit') await untilSigned(service)
  else Object.assign(env, ofRunning(service))
  const own = args.map((word) => word.replace('http://localhost:3000', service.url))
  const { code, stdout, stderr } = await commands.run(own, env)
  expect(code === 0).toBe(or < 0)
  const echo = or < 0 ? '' : stderr + words.at(-1)!.replace('$?', String(code))
  const lines = (stdout + echo).split('\n').map((line) => line.trim())
  return lines.join('')
}

/** The environment of commands that address the running service. */
const ofRunning = ({ url }: TestService) => ({
  ...{ TALLYBOOK_PORT: new URL(url).port, TALLYBOOK_ADMIN_TOKEN: TOKENS.admin },
  TALLYBOOK_DP_TOKEN: TOKENS.dp,
})

function toPattern(shown: string): RegExp {
  const parts = shown.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*?')}$`, 's')
}

/**
 * Runs the commands of a guide one after the other on a fresh service, and expects that each prints
 * what the guide shows. Returns how many there are.
 */
export async function expectExamples(
  name: string,
  service: TestService,
  commands: ReturnType<typeof useCommands>,
  { variables, programs }: Setting = BARE,
): Promise<number> {
  const examples = readExamples(readGuide(name))
  // The first command reads the tokens of a data directory.
  expect(examples.shift()).toMatchObject({ command: expect.stringMatching(/^DP=/), shown: '' })
  for (const { command, shown } of examples) {
    const words = toWords(command, { ...VARIABLES, ...variables })
    const [program = '', ...rest] = words
    if (!(program in programs)) expect(shown).not.toBe('')
    const run = programs[program] ?? (program === 'curl' && ((given) => curl(service, given)))
    const answer = run ? await run(rest) : await tallybook(service, commands, words)
    expect({ command, answer }).toEqual({
      command,
      answer: expect.stringMatching(toPattern(shown)),
    })
  }
  return examples.length
}
