/** A platform for which executables are built. */
export type Target = {
  name: string
  /** The platform in the names of Bun's and of PostgreSQL's packages; null if there is none. */
  bun: Bun.Build.CompileTarget
  postgres: { os: 'linux' | 'darwin'; cpu: 'x64' | 'arm64' } | null
}

export const TARGETS: readonly Target[] = [
  { name: 'linux-x64', bun: 'bun-linux-x64', postgres: { os: 'linux', cpu: 'x64' } },
  { name: 'linux-arm64', bun: 'bun-linux-arm64', postgres: { os: 'linux', cpu: 'arm64' } },
  { name: 'darwin-x64', bun: 'bun-darwin-x64', postgres: { os: 'darwin', cpu: 'x64' } },
  { name: 'darwin-arm64', bun: 'bun-darwin-arm64', postgres: { os: 'darwin', cpu: 'arm64' } },
  { name: 'linux-x64-musl', bun: 'bun-linux-x64-musl', postgres: null },
  { name: 'linux-arm64-musl', bun: 'bun-linux-arm64-musl', postgres: null },
]

/** Returns the target of this machine. Throws if it has none. */
export function thisTarget(): Target {
  return findTarget(`${process.platform}-${process.arch}`)
}

/** Returns the target of that name. Throws if there is none. */
export function findTarget(name: string): Target {
  const target = TARGETS.find((target) => target.name === name)
  if (target !== undefined) return target
  const names = TARGETS.map((target) => target.name).join(', ')
  throw new Error(`There is no target ${name}: use ${names}, or all.`)
}
