import type { FlushName } from './flush.ts'

/** Where a flush is: `sealed` if it is certainly not in the log, `attempted` if it may be. */
export type Folder = 'sealed' | 'attempted'
export const FOLDERS: readonly Folder[] = ['sealed', 'attempted']

/** A flush that waits in the spool. */
export type Waiting = {
  name: FlushName
  file: string
  folder: Folder
  /** Unix seconds. */
  sealedAt: number
  bytes: number
}

/** Returns the flush to send: those that may be in the log first, then the oldest. */
export function findNext(all: Iterable<Waiting>): Waiting | null {
  let next: Waiting | null = null
  for (const waiting of all) if (next === null || isBefore(waiting, next)) next = waiting
  return next
}

function isBefore(a: Waiting, b: Waiting): boolean {
  if (a.folder !== b.folder) return a.folder === 'attempted'
  return a.sealedAt === b.sealedAt ? a.file < b.file : a.sealedAt < b.sealedAt
}
