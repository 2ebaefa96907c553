import fs from 'node:fs/promises'
import { dirname, join } from 'node:path'

// Changes to files that survive a power failure once they have returned.

/** Writes a new file: it appears complete, or not at all. Throws, and leaves none, if it can't. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const draft = `${path}.tmp`
  try {
    const file = await fs.open(draft, 'w', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await fs.rename(draft, path)
  } catch (error) {
    await fs.rm(draft, { force: true }).catch(() => {})
    throw error
  }
  // The file is there: to report a failure now would make the caller write its content twice.
  await syncFolder(dirname(path)).catch(() => {})
}

/** Deletes files of one folder; those that are not there are ignored. */
export async function removeDurably(folder: string, files: readonly string[]): Promise<void> {
  for (const file of files) await fs.rm(join(folder, file), { force: true })
  await syncFolder(folder)
}

/** Platforms on which a folder can't be synchronized: there, renames are as durable as they get. */
const NO_FOLDER_SYNC = ['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP']

export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await fs.open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (error) {
    if (!NO_FOLDER_SYNC.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
