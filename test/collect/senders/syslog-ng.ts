import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Victim } from './kills.ts'

/** Returns syslog-ng with these lines, which is not running yet; its files are in a folder. */
export function makeSyslogNg(folder: string, lines: string): Victim {
  const config = join(folder, 'syslog-ng.conf')
  let running: Bun.Subprocess | null = null
  return {
    start: async () => {
      await mkdir(join(folder, 'buffer'), { recursive: true })
      await writeFile(config, `@version: 3.35\n${lines}`)
      const files = ['-R', join(folder, 'persist'), '-c', join(folder, 'control')]
      running = Bun.spawn(
        ['syslog-ng', '-F', '-f', config, ...files, '-p', join(folder, 'pid'), '--no-caps'],
        { stdio: ['ignore', 'ignore', 'inherit'] },
      )
    },
    kill: async () => {
      running?.kill('SIGKILL')
      await running?.exited
    },
  }
}
