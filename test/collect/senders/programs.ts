import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isExtended, LEFT_TO_CI } from '../../support/extended.ts'

// Programs that send records and that no package of a system has. `bun run senders` installs them
// once, outside of this checkout, because to compile and to download them takes minutes.

/** Where they are; may be removed at any time. */
export const FOLDER = join(
  process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
  'tallybook-senders',
)

/** A program, and the files that determine it: others make another program. */
export type Program = { name: string; source: string; files: readonly string[] }

export const OTELCOL: Program = {
  name: 'OpenTelemetry Collector',
  source: join(import.meta.dir, 'otelcol'),
  files: ['main.go', 'go.mod', 'go.sum'],
}

export const LITELLM: Program = {
  name: 'LiteLLM',
  source: join(import.meta.dir, 'litellm'),
  files: ['litellm.txt', 'packages.txt'],
}

/** The file or folder of an installed program, whether it is there or not. */
export function pathOf({ source, files }: Program): string {
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(join(source, file)))
  return join(FOLDER, `${source.split('/').at(-1)}-${hash.digest('hex').slice(0, 16)}`)
}

/** True if tests with a program can run; otherwise a line says why they are skipped. */
export function hasProgram(program: Program): boolean {
  const reason = !isExtended
    ? `${program.name} ${LEFT_TO_CI}`
    : existsSync(pathOf(program))
      ? null
      : `there is no ${program.name}, which \`bun run senders\` installs`
  if (reason !== null) console.log(`skipped: ${reason}`)
  return reason === null
}
