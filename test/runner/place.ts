import { readFile, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'

const MEMORY = '/dev/shm'
/** Free bytes that /dev/shm must have; a run needs a quarter of them. */
const MIN_FREE = 4 * 1024 ** 3

/**
 * Returns the folder in which a run creates its temporary folder: TMPDIR if it is set, otherwise
 * memory if that has enough space. A database is about 400 files, and a disk's file system took a
 * fifth of all processor time to create and remove them.
 */
export async function chooseFolder(): Promise<string> {
  if (process.env.TMPDIR !== undefined) return tmpdir()
  try {
    const { bavail, bsize } = await statfs(MEMORY)
    const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n')
    const options = mounts.find((line) => line.split(' ')[1] === MEMORY)?.split(' ')[3] ?? ''
    // Tests also build and run programs there.
    const mayRun = options !== '' && !options.split(',').includes('noexec')
    return mayRun && bavail * bsize >= MIN_FREE ? MEMORY : tmpdir()
  } catch {
    // This system has no /dev/shm.
    return tmpdir()
  }
}
