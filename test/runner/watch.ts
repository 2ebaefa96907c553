import { watch as watchFolder } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './queue.ts'

/** Milliseconds without a change before `onChange` is called: an editor writes several files. */
const QUIET_MS = 100

/** Calls `onChange` after changes in these folders, once they have been quiet for QUIET_MS. */
export function watchFolders(folders: readonly string[], onChange: () => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined
  for (const folder of folders) {
    watchFolder(join(ROOT, folder), { recursive: true }, () => {
      clearTimeout(timer)
      timer = setTimeout(onChange, QUIET_MS)
    })
  }
}

/** Runs the tests now and after every change of the source, until the process is interrupted. */
export async function watch(args: readonly string[]): Promise<never> {
  let notice = () => {}
  watchFolders(['src', 'sql', 'test'], () => notice())
  // Each run is a new process, because the code that migrates the database may have changed too.
  const options = ['--keep', ...args.filter((arg) => arg !== '--watch')]
  const command = [process.execPath, join(ROOT, 'test/run.ts'), ...options]
  for (;;) {
    const changed = new Promise<void>((resolve) => {
      notice = resolve
    })
    await Bun.spawn(command, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] }).exited
    console.log('Waiting for a change.')
    await changed
  }
}
