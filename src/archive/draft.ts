import { lstatSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { syncFolder } from '../platform/atomic-file.ts'
import { UserError } from '../platform/user-error.ts'

/**
 * A file or folder that is written alongside its target, and renamed to it when it is complete and
 * on disk.
 */
export type Draft = {
  path: string
  /** Syncs its folders and renames it to the target. The caller must have synced its files. */
  publish(): Promise<void>
  /** Removes the draft. Does nothing after `publish`. */
  discard(): Promise<void>
}

/**
 * Opens a draft of a file or folder that does not exist yet. A process killed before `publish`
 * leaves `<target>.partial-<host>-<pid>`, which is never taken for the target. The next draft of
 * the same target on this host removes it. Throws UserError if the target exists.
 */
export async function openDraft(target: string): Promise<Draft> {
  const path = resolve(target)
  refuseExisting(path)
  await mkdir(dirname(path), { recursive: true })
  await sweep(path)
  const draft = `${path}.partial-${hostname()}-${process.pid}`
  return {
    path: draft,
    publish: async () => {
      await syncFolders(draft)
      refuseExisting(path)
      await rename(draft, path)
      await syncFolder(dirname(path))
    },
    discard: () => rm(draft, { recursive: true, force: true }),
  }
}

function refuseExisting(path: string): void {
  if (!lstatSync(path, { throwIfNoEntry: false })) return
  throw new UserError(`${path} already exists: choose another name, or move it.`)
}

/** Removes drafts whose process has ended. A draft with this pid belongs to an earlier process. */
async function sweep(path: string): Promise<void> {
  const prefix = `${basename(path)}.partial-${hostname()}-`
  for (const name of await readdir(dirname(path))) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : Number.NaN
    if (!Number.isInteger(pid) || (pid !== process.pid && isAlive(pid))) continue
    await rm(join(dirname(path), name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function syncFolders(path: string): Promise<void> {
  if (!lstatSync(path).isDirectory()) return
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncFolders(join(path, entry.name))
  }
  await syncFolder(path)
}
