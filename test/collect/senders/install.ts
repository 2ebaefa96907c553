import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FOLDER, LITELLM, OTELCOL, type Program, pathOf } from './programs.ts'

// Installs the programs of programs.ts that are not there yet. What can't be installed is said, and
// is no failure: its tests are skipped.

/** Go compiles without optimization, which takes less time than the tests gain by it. */
const GO = ['go', 'build', '-buildvcs=false', '-trimpath', '-gcflags=all=-l -N', '-ldflags=-s -w']

/** Each package is stated, so that pip has nothing to resolve; LiteLLM itself by its hash, too. */
const PIP = ['python3', '-m', 'pip', '--quiet', '--disable-pip-version-check']
const PINNED = ['--no-deps', '--only-binary', ':all:']

/** How many of pip's downloads run at once: one after the other, 93 packages take 90 s. */
const DOWNLOADS = 4

/** Compiles what a proxy loads when it starts. */
const COMPILE = 'import litellm.proxy.proxy_server'

type Command = { command: string[]; env?: Record<string, string> }

/** Commands that install a program as `draft`: those of a step run at once. */
async function stepsOf(program: Program, draft: string): Promise<Command[][]> {
  if (program === OTELCOL) {
    const env = { CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOGC: '400' }
    return [[{ command: [...GO, '-o', draft, '.'], env }]]
  }
  const texts = program.files.map((file) => readFile(join(program.source, file), 'utf8'))
  const [litellm, packages] = (await Promise.all(texts)).map((text) => text.match(/^\w\S*==\S+/gm)!)
  const wheels = `${draft}.wheels`
  const download = [...PIP, 'download', ...PINNED, '--dest', wheels]
  const parts = Array.from({ length: DOWNLOADS }, (_, part) =>
    packages!.filter((_, i) => i % DOWNLOADS === part),
  )
  const install = [...PIP, 'install', ...PINNED, '--no-index', '--no-compile', '--target', draft]
  const env = { PYTHONPATH: draft, LITELLM_LOCAL_MODEL_COST_MAP: 'True' }
  return [
    [
      { command: [...download, '--require-hashes', '-r', 'litellm.txt'] },
      ...parts.map((part) => ({ command: [...download, ...part] })),
    ],
    [{ command: [...install, '--find-links', wheels, ...litellm!, ...packages!] }],
    [{ command: ['python3', '-c', COMPILE], env }],
  ]
}

/** Runs a command; returns the end of its errors, or null if it succeeds. */
async function run({ command, env }: Command, cwd: string): Promise<string | null> {
  if (Bun.which(command[0]!) === null) return `there is no ${command[0]}`
  const child = Bun.spawn(command, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const errors = await child.stderr.text()
  return (await child.exited) === 0 ? null : lastLines(errors)
}

async function install(program: Program): Promise<string> {
  const path = pathOf(program)
  if (existsSync(path)) return 'is there'
  const started = performance.now()
  const draft = `${path}.${process.pid}`
  try {
    for (const commands of await stepsOf(program, draft)) {
      const ran = await Promise.all(commands.map((command) => run(command, program.source)))
      const error = ran.find((one) => one !== null)
      if (error !== undefined) return `could not be installed: ${error}`
    }
    // What is there is complete.
    await rename(draft, path)
  } finally {
    await rm(draft, { recursive: true, force: true })
    await rm(`${draft}.wheels`, { recursive: true, force: true })
  }
  return `installed in ${Math.round((performance.now() - started) / 1_000)} s`
}

const lastLines = (text: string) => text.trim().split('\n').slice(-3).join('\n')

await mkdir(FOLDER, { recursive: true })
const programs = [OTELCOL, LITELLM]
const outcomes = await Promise.all(programs.map(install))
programs.forEach(({ name }, i) => {
  console.log(`${name}: ${outcomes[i]}`)
})
