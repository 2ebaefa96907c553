import { randomBytes } from 'node:crypto'
import { link, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Creates a file (mode 0600) atomically and flushes it to disk. Returns false if it exists already.
 * If several processes race, exactly one creates the file. A crash leaves a temporary file that is
 * never read.
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

/** Creates or replaces a file atomically: a reader sees either the old or the new content. */
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

/** True if a file system error has this code. */
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

/** Flushes a folder's entries to disk after a file in it was created, renamed or removed. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
