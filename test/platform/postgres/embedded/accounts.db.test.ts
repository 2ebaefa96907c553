import { expect, test } from 'bun:test'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isRoot, NOBODY, query, start, useDataDirs, words } from './place.ts'
import { nobodyCanRun, startService } from './service.ts'

// The user that the embedded server runs as, and the users that it admits.

const dataDirs = useDataDirs()
/** A user without an entry in /etc/passwd, as in containers, in the group of root. */
const NAMELESS = { uid: 54_321, gid: 0 }

const hasName = (uid: number) => Bun.spawnSync(['id', '-nu', String(uid)]).success
const ownersOf = (directory: string) => {
  const paths = readdirSync(directory, { recursive: true }) as string[]
  return new Set(['.', ...paths].map((path) => statSync(join(directory, path)).uid))
}

test.skipIf(!isRoot)('root’s server runs as a user of its own (needs root)', async () => {
  const dataDir = dataDirs.emptyDataDir()
  chmodSync(dirname(dataDir), 0o711)
  const server = await start(dataDir)
  const [uid, ...others] = ownersOf(join(dataDir, 'postgres'))
  expect(others).toEqual([])
  expect(uid).toBeGreaterThan(0)
  expect(hasName(uid!)).toBe(false)
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
  await server.stop()
  const again = await start(dataDir)
  expect(statSync(join(dataDir, 'postgres')).uid).toBe(uid!)
  await again.stop()
})

test.skipIf(!isRoot)('no other user can connect (needs root)', async () => {
  const dataDir = dataDirs.emptyDataDir()
  chmodSync(dirname(dataDir), 0o711)
  const server = await start(dataDir)
  const socket = join(server.address.host, '.s.PGSQL.5432')
  const script = `require('node:net').connect(${JSON.stringify(socket)})
    .on('connect', () => process.exit(0)).on('error', () => process.exit(7))`
  const tryConnect = (user: { uid: number; gid: number }) =>
    Bun.spawnSync([process.execPath, '-e', script], { ...user, cwd: '/', env: {} }).exitCode
  if (nobodyCanRun()) expect(tryConnect(NOBODY)).toBe(7)
  expect(Bun.spawnSync(['test', '-x', server.address.host], NOBODY).success).toBe(false)
  expect(tryConnect({ uid: 0, gid: 0 })).toBe(0)
  await server.stop()
})

test.skipIf(!isRoot)(
  'a cluster that an older version gave to user nobody gets a user of its own (needs root)',
  async () => {
    const dataDir = dataDirs.copyOfTemplate()
    const cluster = join(dataDir, 'postgres')
    Bun.spawnSync(['chown', '-R', `${NOBODY.uid}:${NOBODY.gid}`, cluster])
    const server = await start(dataDir)
    expect(await words(server)).toEqual(['first'])
    const [uid, ...others] = ownersOf(cluster)
    expect(others).toEqual([])
    expect(hasName(uid!)).toBe(false)
    await server.stop()
    // As after a kill during chown, which changes the cluster directory last.
    chownSync(cluster, NOBODY.uid, NOBODY.gid)
    const again = await start(dataDir)
    expect(await words(again)).toEqual(['first'])
    await again.stop()
  },
)

test.skipIf(!nobodyCanRun())(
  'a user without a name can start, or gets a message that says what to do (needs root)',
  async () => {
    const home = dataDirs.emptyDataDir('nameless')
    mkdirSync(home)
    chownSync(home, NAMELESS.uid, NAMELESS.gid)
    const dataDir = join(home, 'data')
    const first = await startService(dataDir, { user: NAMELESS })
    const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
    if (existsSync(`/usr/lib/${arch}-linux-gnu/libnss_wrapper.so`)) {
      expect(first.refusal).toBe(null)
      expect(await query(first.server, 'select 1 as one')).toEqual([{ one: 1 }])
    } else {
      expect(first.refusal).toMatch(/user 54321, which has no name here.*install libnss-wrapper/)
      expect(first.refusal).not.toContain('\n')
    }
    await first.stop()
    // An existing cluster needs no name.
    const made = dataDirs.copyOfTemplate()
    Bun.spawnSync(['chown', '-R', `${NAMELESS.uid}:${NAMELESS.gid}`, made])
    const second = await startService(made, { user: NAMELESS })
    expect(second.refusal).toBe(null)
    expect(await words(second.server)).toEqual(['first'])
    expect(await second.stop()).toBe(0)
  },
)
