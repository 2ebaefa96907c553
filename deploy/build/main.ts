/**
 * `bun run build [targets] [--deb] [--output <folder>]` builds the executable of this machine, of the
 * named targets, or of `all`, into dist/ or that folder. It contains the console, the migrations and
 * everything else that the program reads. Its PostgreSQL is an archive that has to be next to it;
 * without the archive, and on musl, it needs DATABASE_URL. `--deb` also packs both for Debian.
 */
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { PostgresArchive } from '../../src/platform/shipped/embedded.ts'
import { packDeb } from './deb.ts'
import { collect, EMBEDDED_MODULE, ROOT, WORKER_MODULE } from './embedded.ts'
import { savePostgres } from './postgres.ts'
import { findTarget, TARGETS, type Target, thisTarget } from './targets.ts'

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      deb: { type: 'boolean', default: false },
      output: { type: 'string', default: join(ROOT, 'dist') },
    },
    allowPositionals: true,
  })
  const { output } = values
  const targets = positionals.includes('all') ? TARGETS : positionals.map(findTarget)
  await mkdir(output, { recursive: true })
  const embedded = await collect()
  for (const target of targets.length > 0 ? targets : [thisTarget()]) {
    const archive = target.postgres && (await savePostgres(target.postgres, output))
    const name = `tallybook-${target.name}`
    const folder = await mkdtemp(join(output, 'build-'))
    try {
      await compile(target, { ...embedded, postgres: archive }, join(folder, name))
      // The source maps that the build leaves there are in the executable, too.
      await rename(join(folder, name), join(output, name))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
    await report(join(output, name))
    if (archive === null) continue
    await report(join(output, archive.name))
    if (!values.deb || target.postgres?.os !== 'linux') continue
    const files = { executable: join(output, name), archive: join(output, archive.name) }
    await report(await packDeb(target.postgres, files, output))
  }
}

async function compile(
  target: Target,
  embedded: Awaited<ReturnType<typeof collect>> & { postgres: PostgresArchive | null },
  outfile: string,
): Promise<void> {
  await Bun.build({
    entrypoints: [join(ROOT, 'src/main.ts'), WORKER_MODULE],
    root: join(ROOT, 'src'),
    files: { [EMBEDDED_MODULE]: `export const EMBEDDED = ${JSON.stringify(embedded)}` },
    sourcemap: 'inline',
    compile: {
      target: target.bun,
      outfile,
      // PostgreSQL ends with a killed service.
      execArgv: ['--no-orphans'],
      // Only the arguments and the environment configure the service, and no file around it.
      ...{ autoloadDotenv: false, autoloadBunfig: false },
    },
  })
}

async function report(path: string): Promise<void> {
  const megabytes = (Bun.file(path).size / 1e6).toFixed(1)
  console.log(`${path}  ${megabytes} MB`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
