import { existsSync, readFileSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isRunning } from '../support/running.ts'
import { type Mutation, mutate } from './mutation.ts'

export const ROOT = join(import.meta.dir, '../..')

/** Installed packages, which are linked instead of copied. */
const PACKAGES = ['node_modules', 'bench/node_modules']

/** Below the packages: the folder in which the runner stores its kept server (runner/cache.ts). */
const CACHE = 'node_modules/.cache'

/** A copy of the working tree in which faults are made; the working tree itself is only read. */
export class Tree {
  private constructor(readonly path: string) {}

  /**
   * Copies tracked files and new files that are not ignored to a folder that doesn't exist yet. The
   * mutations are left out, because their own test would fail with each of them.
   */
  static async copy(path: string): Promise<Tree> {
    const command = ['git', 'ls-files', '-co', '--exclude-standard', '-z']
    const listed = Bun.spawnSync(command, { cwd: ROOT })
    if (!listed.success) throw new Error(`git ls-files failed: ${listed.stderr}`)
    await mkdir(path)
    for (const file of new Set(listed.stdout.toString().split('\0'))) {
      // Git also lists deleted files.
      const isThere = file !== '' && existsSync(join(ROOT, file))
      if (isThere && !file.startsWith('test/mutations/')) {
        await cp(join(ROOT, file), join(path, file))
      }
    }
    for (const folder of PACKAGES.filter((name) => existsSync(join(ROOT, name)))) {
      await linkPackages(join(ROOT, folder), join(path, folder))
    }
    return new Tree(path)
  }

  /** Makes the fault, does the work, and reverts the fault. */
  async with<Value>(mutation: Mutation, work: () => Promise<Value>): Promise<Value> {
    const file = join(this.path, mutation.file)
    const text = await readFile(file, 'utf8')
    await writeFile(file, mutate(text, mutation))
    try {
      return await work()
    } finally {
      await writeFile(file, text)
    }
  }

  /** Stops the server that the tests of this tree keep: it ends when its state file is gone. */
  async close(): Promise<void> {
    const keeper = readKeeper(join(this.path, CACHE))
    await rm(join(this.path, CACHE), { recursive: true, force: true })
    while (keeper !== null && isRunning(keeper)) await Bun.sleep(100)
  }
}

/** Links packages one by one, because the runner's cache next to them belongs to each tree. */
async function linkPackages(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) {
    if (name !== '.cache') await symlink(join(from, name), join(to, name))
  }
}

/** The id of the process that keeps the server, or null if there is none. */
function readKeeper(cache: string): number | null {
  try {
    return JSON.parse(readFileSync(join(cache, 'tallybook-test/server.json'), 'utf8')).pid
  } catch {
    return null
  }
}
