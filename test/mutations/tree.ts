import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Mutation, mutate } from './mutation.ts'

export const ROOT = join(import.meta.dir, '../..')

/** Installed packages are linked, not copied. */
const PACKAGES = ['node_modules', 'bench/node_modules']

/** A copy of the working tree, in which faults are made; the working tree itself is only read. */
export class Tree {
  private constructor(readonly path: string) {}

  /**
   * Copies what git knows, and what is new and not ignored, to a folder that isn't there yet; but
   * for the list of mutations, whose own test finds each of them.
   */
  static async copy(path: string): Promise<Tree> {
    const command = ['git', 'ls-files', '-co', '--exclude-standard', '-z']
    const listed = Bun.spawnSync(command, { cwd: ROOT })
    if (!listed.success) throw new Error(`git ls-files failed: ${listed.stderr}`)
    await mkdir(path)
    // As root the tests' servers run as another user, who must be able to enter.
    await chmod(path, 0o711)
    for (const file of new Set(listed.stdout.toString().split('\0'))) {
      // Git lists files that were deleted too.
      if (file.startsWith('test/mutations/') || !existsSync(join(ROOT, file)) || file === '')
        continue
      await cp(join(ROOT, file), join(path, file))
    }
    for (const folder of PACKAGES.filter((name) => existsSync(join(ROOT, name)))) {
      await mkdir(dirname(join(path, folder)), { recursive: true })
      await symlink(join(ROOT, folder), join(path, folder))
    }
    return new Tree(path)
  }

  /** Makes the fault, does the work, and takes the fault back. */
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
}
