import { LogScan, type ScanRequest } from './log-scan.ts'

/** How long (ms) a scan that no one resumes is kept. */
const KEEP_MS = 600_000

/** Names, and quarter hours found for them, that all scans together keep: some 300 MB. */
const MAX_SIZE = 1_500_000

/**
 * Scans of the log that a repeated request resumes. They are only in memory: a new process begins
 * again.
 */
export class LogScans {
  /** The last one used comes last. */
  #kept: LogScan[] = []
  #expiry: Timer | undefined

  /** Returns the scan that was begun for such a request, or begins one. */
  open(request: ScanRequest): LogScan {
    const scan = this.#kept.find((kept) => kept.tryResume(request)) ?? new LogScan(request)
    this.#kept = [...this.#kept.filter((kept) => kept !== scan), scan]
    let size = this.#kept.reduce((sum, kept) => sum + sizeOf(kept), 0)
    // Never the one that is used now.
    while (size > MAX_SIZE && this.#kept.length > 1) size -= sizeOf(this.#kept.shift()!)
    clearTimeout(this.#expiry)
    this.#expiry = setTimeout(() => this.#kept.splice(0), KEEP_MS)
    this.#expiry.unref()
    return scan
  }
}

const sizeOf = ({ names, found }: LogScan) => names + found
