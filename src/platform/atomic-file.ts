import { randomBytes } from 'node:crypto'
import { link, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a file of the data directory (mode 0600), whole and on disk; false where it is there
 * already. Of several processes at once one makes it. Killed meanwhile: a draft is left, that
 * nothing reads.
 */
export async function createFile(path: string, text: string): Promise<boolean> {
  const draft = await writeDraft(path, text)
  try {
    await link(draft, path)
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
    return false
  } finally {
    await unlink(draft)
  }
  await syncFolder(dirname(path))
  return true
}

/** Puts a file in place of the one that is there, or makes it; a reader finds one or the other. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const draft = await writeDraft(path, text)
  try {
    await rename(draft, path)
  } catch (error) {
    await unlink(draft)
    throw error
  }
  await syncFolder(dirname(path))
}

/** True of an error of the file system with this code. */
export const isCode = (error: unknown, code: string) =>
  (error as NodeJS.ErrnoException).code === code

async function writeDraft(path: string, text: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    await unlink(draft)
    throw error
  } finally {
    await file.close()
  }
  return draft
}

/** Brings to disk what was made, renamed or removed in a folder. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
