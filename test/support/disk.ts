import { mkdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** True if this process may mount a file system, which not every root may. */
export function canMount(): boolean {
  if (process.getuid?.() !== 0) return false
  const folder = join(tmpdir(), `tallybook-mount-${process.pid}`)
  mkdirSync(folder)
  try {
    mountDisk(folder, '64k')
    unmountDisk(folder)
    return true
  } catch {
    return false
  } finally {
    rmdirSync(folder)
  }
}

/** Mounts an empty in-memory file system of this size on a folder. */
export function mountDisk(folder: string, size: string): void {
  run(['mount', '-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', folder])
}

export function unmountDisk(folder: string): void {
  run(['umount', folder])
}

function run(command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command)
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
}
