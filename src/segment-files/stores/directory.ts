import { randomBytes } from 'node:crypto'
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { within } from '../../platform/async/deadline.ts'
import { isCode, syncFolder } from '../../platform/atomic-file.ts'
import { checkObjectName, isObjectName, type SegmentStore, type StoreFailure } from './store.ts'

/** Milliseconds for one step: a read, a write, or a sync of a whole segment on a slow disk. */
export type DirectoryTimeouts = { step: number; sync: number }

const TIMEOUTS: DirectoryTimeouts = { step: 30_000, sync: 300_000 }

const PARTIAL = '.partial-'

/**
 * Opens a directory as a store. It must exist: if it were made, segments would go to the wrong disk
 * while the right one is not mounted.
 *
 * An object is written next to its place as `<name>.partial-<pid>-<random>`, synced, and linked to
 * its name. A process killed before that leaves this file, which is never listed; the next `put` or
 * `remove` of the same name deletes it. So of two that put one name at once, one may fail.
 */
export function openDirectory(
  root: string,
  { step, sync }: DirectoryTimeouts = TIMEOUTS,
): SegmentStore {
  const pathOf = (name: string) => {
    checkObjectName(name)
    return join(root, name)
  }
  /** Turns errors of the file system into failures, and waits for none forever. */
  const attempt = async <Found>(work: Promise<Found>, ms = step): Promise<Found | StoreFailure> => {
    try {
      return await within(ms, work, () => new Error(`${root} did not answer within ${ms} ms`))
    } catch (error) {
      return toFailure(error as NodeJS.ErrnoException, root)
    }
  }
  return {
    url: `file://${root}`,

    async put(name, content) {
      const path = pathOf(name)
      const found = await attempt(sizeOf(path))
      if (found.kind === 'found') return { kind: 'exists' }
      if (found.kind !== 'not_found') return found
      const draft = `${path}${PARTIAL}${process.pid}-${randomBytes(4).toString('hex')}`
      const opened = await attempt(openDraft(root, path, draft))
      if ('kind' in opened) return opened
      try {
        const written = await writeAll(opened, content, attempt)
        if (written.kind !== 'written') return written
        const published = await attempt(publish(opened, draft, path, root), sync)
        if (published.kind === 'not_found') {
          return { kind: 'unavailable', reason: `${name} is being stored by another program` }
        }
        if (published.kind !== 'published') return published
        return { kind: 'stored', bytes: written.bytes }
      } finally {
        await attempt(discard(opened, draft))
      }
    },

    size: async (name) => attempt(sizeOf(pathOf(name))),

    read: async (name, { offset, length }) => attempt(readRange(pathOf(name), offset, length)),

    remove: async (name) => attempt(remove(pathOf(name))),

    list: async () => attempt(list(root)),
  }
}

async function remove(path: string) {
  await removeDrafts(path)
  await rm(path)
  await syncFolder(dirname(path))
  return { kind: 'removed' } as const
}

async function list(root: string) {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const paths = files.map((entry) => join(entry.parentPath, entry.name))
  const names = paths.map((path) => path.slice(join(root, '/').length))
  const listed = names.filter((name) => isObjectName(name) && !name.includes(PARTIAL))
  return { kind: 'listed', names: listed.sort() } as const
}

async function sizeOf(path: string) {
  const found = await stat(path)
  if (!found.isFile()) throw new Error(`${path} is not a file`)
  return { kind: 'found', bytes: found.size } as const
}

async function readRange(path: string, offset: number, length: number) {
  await sizeOf(path)
  const file = await open(path, 'r')
  try {
    const bytes = Buffer.allocUnsafe(length)
    for (let at = 0; at < length; ) {
      const { bytesRead } = await file.read(bytes, at, length - at, offset + at)
      if (bytesRead === 0) {
        const reason = `${path} ends before byte ${offset + length}`
        return { kind: 'lied', reason } as const
      }
      at += bytesRead
    }
    return { kind: 'read', bytes } as const
  } finally {
    await file.close()
  }
}

async function openDraft(root: string, path: string, draft: string): Promise<FileHandle> {
  await stat(root)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await removeDrafts(path)
  return await open(draft, 'wx', 0o600)
}

async function removeDrafts(path: string): Promise<void> {
  const prefix = `${basename(path)}${PARTIAL}`
  for (const name of await readdir(dirname(path))) {
    if (name.startsWith(prefix)) await rm(join(dirname(path), name), { force: true })
  }
}

type Attempt = <Found>(work: Promise<Found>) => Promise<Found | StoreFailure>

async function writeAll(
  file: FileHandle,
  content: AsyncIterable<Uint8Array>,
  attempt: Attempt,
): Promise<{ kind: 'written'; bytes: number } | StoreFailure> {
  let bytes = 0
  for await (const chunk of content) {
    // A nearly full disk may accept fewer than one call passes to it.
    for (let at = 0; at < chunk.length; ) {
      const wrote = await attempt(file.write(chunk, at, chunk.length - at))
      if ('kind' in wrote) return wrote
      at += wrote.bytesWritten
    }
    bytes += chunk.length
  }
  return { kind: 'written', bytes }
}

/** Makes a file that is on disk visible, and its name durable, in folders that may be new. */
async function publish(file: FileHandle, draft: string, path: string, root: string) {
  await file.sync()
  try {
    // Unlike a rename, this never replaces an object.
    await link(draft, path)
  } catch (error) {
    if (isCode(error, 'EEXIST')) return { kind: 'exists' } as const
    // Some network file systems have no links.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].some((code) => isCode(error, code)))
      throw error
    await rename(draft, path)
  }
  let folder = dirname(path)
  for (; folder.length > root.length; folder = dirname(folder)) await syncFolder(folder)
  await syncFolder(folder)
  return { kind: 'published' } as const
}

async function discard(file: FileHandle, draft: string) {
  await file.close()
  await rm(draft, { force: true })
  return { kind: 'discarded' } as const
}

async function toFailure(error: NodeJS.ErrnoException, root: string): Promise<StoreFailure> {
  const reason = error.message
  switch (error.code) {
    case 'ENOENT': {
      // A directory that is not mounted has lost nothing.
      const isThere = await stat(root).then(
        () => true,
        () => false,
      )
      if (isThere) return { kind: 'not_found', reason }
      return { kind: 'unavailable', reason: `${root} does not exist, or is not mounted` }
    }
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return { kind: 'full', reason }
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return { kind: 'denied', reason }
    default:
      return { kind: 'unavailable', reason }
  }
}
