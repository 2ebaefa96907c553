import { beforeAll } from 'bun:test'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckedFile } from '../../src/segment-files/fetch.ts'
import { putSegment } from '../../src/segment-files/put.ts'
import { openDirectory } from '../../src/segment-files/stores/directory.ts'
import { type Expectations, verifySegment } from '../../src/segment-files/verify.ts'
import { inPages, makeEvent, makeFlushes } from './events.ts'
import { planOf, useFolder } from './folder.ts'

const KEY = JSON.stringify({ hashes: ['a1', 'b2'], requests: [1, 2] })
const LOG = [
  ...makeFlushes(90, { keys: 3, counted: true }),
  ...Array.from({ length: 5 }, (_, i) =>
    makeEvent(KEY, { position: 90 + i, recordedAt: '2026-01-31T13:00:00.000000+00:00' }),
  ),
]

/** The intact file of a segment of 95 events in three blocks and a dictionary. */
export type HostileFile = {
  file: Buffer
  /**
   * Returns the kind of failure with which a changed file is refused, and the reason; or
   * `verified`.
   */
  check(bytes: Uint8Array, expected?: Expectations): Promise<string[]>
}

/** Writes a segment's file for the tests of one file, which change it. */
export function useHostileFile(): HostileFile {
  const folder = useFolder()
  const hostile: HostileFile = {
    file: Buffer.alloc(0),
    check: async (bytes, expected = {}) => {
      await writeFile(join(folder.path, 'hostile'), bytes)
      const store = openDirectory(folder.path)
      const verified = await verifySegment(new CheckedFile(store, 'hostile'), expected)
      return verified.kind === 'verified' ? ['verified'] : Object.values(verified.failure)
    },
  }
  beforeAll(async () => {
    const store = openDirectory(folder.path)
    await putSegment(store, 'intact', planOf(LOG), inPages(LOG))
    hostile.file = await readFile(join(folder.path, 'intact'))
  })
  return hostile
}
