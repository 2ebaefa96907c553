import {
  closeSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'
import { setInterval } from 'node:timers'
import type { Account } from './account.ts'

const KiB = 1024
// Above 8 MiB the file is truncated to its last MiB.
const BOUND_BYTES = 8 * KiB * KiB
const RETAINED_BYTES = KiB * KiB
// A server that logs 1,000 errors a second, 200 bytes each, adds 2 MB in that time.
const BOUND_INTERVAL_MS = 10_000

/** The file to which the server writes its messages, limited in size. */
export type ServerLog = {
  descriptor: number
  /** Returns the last lines written since the log was opened. */
  lastLines(): string
  close(): void
}

/** Opens the log for appending, and limits its size while it is open. */
export function openServerLog(path: string, account: Account): ServerLog {
  const descriptor = openSync(path, 'a+', 0o600)
  if (account.switchTo) fchownSync(descriptor, account.switchTo.uid, account.switchTo.gid)
  bound(descriptor)
  const start = fstatSync(descriptor).size
  const timer = setInterval(() => bound(descriptor), BOUND_INTERVAL_MS)
  timer.unref()
  return {
    descriptor,
    lastLines: () => tail(descriptor, start),
    close() {
      clearInterval(timer)
      closeSync(descriptor)
    },
  }
}

// The server appends through its own descriptor, so the file is truncated in place, not renamed.
// Messages that it writes between our read and our truncation are lost, which a log can tolerate.
function bound(descriptor: number): void {
  const { size } = fstatSync(descriptor)
  if (size <= BOUND_BYTES) return
  const kept = read(descriptor, size - RETAINED_BYTES, RETAINED_BYTES)
  ftruncateSync(descriptor, 0)
  writeSync(descriptor, kept)
}

function tail(descriptor: number, start: number): string {
  const { size } = fstatSync(descriptor)
  const from = Math.max(start > size ? 0 : start, size - 4 * KiB)
  return read(descriptor, from, size - from)
    .toString()
    .trim()
    .split('\n')
    .slice(-15)
    .join('\n')
}

function read(descriptor: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length)
  return buffer.subarray(0, readSync(descriptor, buffer, 0, length, position))
}
