import { expect, test } from 'bun:test'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { isRoot, NOBODY, query, start, useDataDirs, words } from './place.ts'
import { nobodyCanRun, startService } from './service.ts'

const dataDirs = useDataDirs()
const canBeNobody = nobodyCanRun()

test.skipIf(isRoot)(
  'links that can’t be created are reported (skipped: root writes anywhere)',
  async () => {
    const { project, source, lib } = dataDirs.copyOfProject({ withPackage: true })
    chmodSync(lib, 0o555)
    const { refusal } = await startService(join(project, 'd'), { source })
    chmodSync(lib, 0o755)
    expect(refusal).toContain('node_modules is read-only')
  },
)

test.skipIf(!canBeNobody)(
  'an unprivileged user without a home directory can start, as can root (needs root)',
  async () => {
    const home = dataDirs.emptyDataDir('nobody')
    mkdirSync(home)
    chownSync(home, NOBODY.uid, NOBODY.gid)
    const dataDir = join(home, 'project/.tallybook')
    const service = await startService(dataDir, { user: NOBODY })
    expect(service.refusal).toBe(null)
    expect(statSync(join(dataDir, 'postgres')).uid).toBe(NOBODY.uid)
    expect(await query(service.server, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await service.stop()).toBe(0)
    // Root starts another user's cluster as that user, who can still use it afterwards.
    await (await start(dataDir)).stop()
    const again = await startService(dataDir, { user: NOBODY })
    expect(await again.stop()).toBe(0)
  },
)

test.skipIf(!canBeNobody)(
  'another user’s cluster is refused with the name of the user (needs root)',
  async () => {
    const dataDir = dataDirs.copyOfTemplate()
    chownSync(dataDir, NOBODY.uid, NOBODY.gid)
    const { refusal } = await startService(dataDir, { user: NOBODY })
    expect(refusal).toMatch(/belongs to user|EACCES/)
  },
)

test.skipIf(!isRoot)(
  'root’s project below a private home works and is found again (needs root)',
  async () => {
    const { project, source } = dataDirs.copyOfProject({ withPackage: true })
    chmodSync(project, 0o700)
    const dataDir = join(project, '.tallybook')
    const shared = '/var/lib/tallybook'
    const copiesBefore = programCopies(shared)
    try {
      const first = await startService(dataDir, { source })
      expect(first.refusal).toBe(null)
      expect(readlinkSync(join(dataDir, 'postgres'))).toStartWith(`${shared}/`)
      await query(first.server, 'create table kept as select $$first$$ as word')
      // A copy of the data directory links to the same cluster, and must not take it over.
      const copy = join(project, 'copy')
      cpSync(dataDir, copy, { recursive: true, verbatimSymlinks: true })
      const second = await startService(copy, { source })
      expect(second.refusal).toContain(`pid ${first.child.pid}`)
      expect(await first.stop()).toBe(0)
      const again = await startService(dataDir, { source })
      expect(await words(again.server)).toEqual(['first'])
      expect(await again.stop()).toBe(0)
    } finally {
      // Only what this test put there: other databases may be there too.
      rmSync(dirname(readlinkSync(join(dataDir, 'postgres'))), { recursive: true })
      for (const name of programCopies(shared)) {
        if (!copiesBefore.includes(name)) rmSync(join(shared, name), { recursive: true })
      }
      if (readdirSync(shared).length === 0) rmdirSync(shared)
    }
  },
)

function programCopies(shared: string): string[] {
  if (!existsSync(shared)) return []
  return readdirSync(shared).filter((name) => name.startsWith('postgresql-'))
}
