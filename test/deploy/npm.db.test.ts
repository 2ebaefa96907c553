import { expect, test } from 'bun:test'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { $ } from 'bun'
import { ROOT } from '../../deploy/build/embedded.ts'
import { version } from '../../package.json'
import { hasPeer } from '../support/extended.ts'
import { readUrl } from '../support/process.ts'
import { until } from '../support/until.ts'

/** The environment without what the npx that runs the tests has set for itself. */
const ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith('npm_')),
)

type Packed = { files: { path: string }[] }[]

const hasNpm = Bun.which('npm') !== null
if (!hasNpm) console.log('skipped: the npm package (there is no npm on this machine)')

test.skipIf(!hasNpm)(
  'the npm package has the service with the patched driver, and nothing else',
  async () => {
    const [packed] = (await $`npm pack --dry-run --json`.env(ENV).cwd(ROOT).json()) as Packed
    const paths = packed!.files.map(({ path }) => path)
    const folders = new Set(
      paths.map((path) => path.split('/')[0]!).filter((name) => !/\.|LICENSE/.test(name)),
    )
    expect([...folders].sort()).toEqual(['clients', 'deploy', 'node_modules', 'sql', 'src'])
    for (const path of ['src/main.ts', 'sql/grants.sql', 'deploy/npm/tallybook.mjs']) {
      expect(paths).toContain(path)
    }
    const bundled = paths.filter((path) => path.startsWith('node_modules/'))
    expect(bundled).toContain('node_modules/postgres/src/connection.js')
    expect(bundled.filter((path) => !path.startsWith('node_modules/postgres/'))).toEqual([])
  },
)

test.skipIf(!hasPeer('npx'))('npx tallybook runs the service of an installed package', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-npm-'))
  // As root, the user that runs PostgreSQL must be able to enter.
  await chmod(folder, 0o711)
  try {
    await $`npm pack --pack-destination ${folder}`.env(ENV).cwd(ROOT).quiet()
    const [archive] = await readdir(folder)
    await writeFile(join(folder, 'package.json'), '{}')
    await $`npm install --no-audit --no-fund ./${archive}`.env(ENV).cwd(folder).quiet()
    const run = (...args: string[]) =>
      Bun.spawn(['npx', 'tallybook', ...args], {
        cwd: folder,
        env: { PATH: process.env.PATH!, HOME: folder, TALLYBOOK_PORT: '0' },
        stdout: 'pipe',
        stderr: 'pipe',
      })
    expect(await run('--version').stdout.text()).toBe(`tallybook ${version}\n`)
    const service = run()
    const url = await readUrl(service)
    expect((await fetch(`${url}/health/ready`)).status).toBe(200)
    service.kill('SIGTERM')
    // npx ends at once, and the service when it has noticed that.
    await until(() =>
      fetch(url).then(
        () => false,
        () => true,
      ),
    )
    await until(
      async () => !(await readdir(join(folder, '.tallybook'))).includes('postgres.lock.holder'),
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})
