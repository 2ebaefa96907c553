import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { percentile } from '../measure.ts'

/** Quantiles of fsync times that are recorded; simulated times are interpolated between them. */
export const FSYNC_SHARES = [
  ...[0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
  ...[0.95, 0.98, 0.99, 0.995, 0.999],
]

/**
 * Measures fdatasync after 8 kB were overwritten, on the disk of the benchmark's databases, with
 * nothing else running. Returns the times (ms) at FSYNC_SHARES.
 */
export async function measureFsync(times: number): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-fsync-'))
  const file = await open(join(folder, 'log'), 'w')
  const page = Buffer.alloc(8_192, 1)
  try {
    const size = 2_048
    for (let i = 0; i < size; i++) await file.write(page, 0, page.length, i * page.length)
    await file.sync()
    const took: number[] = []
    for (let i = 0; i < times; i++) {
      const started = performance.now()
      await file.write(page, 0, page.length, (i % size) * page.length)
      await file.datasync()
      took.push(performance.now() - started)
    }
    return FSYNC_SHARES.map((share) => percentile(took, share))
  } finally {
    await file.close()
    await rm(folder, { recursive: true, force: true })
  }
}
