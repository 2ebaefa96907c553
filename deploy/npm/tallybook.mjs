#!/usr/bin/env node
// The command of the npm package. Tallybook runs on Bun: on the one that is installed, if that is new
// enough, or else on the one that npx gets from the npm registry.
import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The oldest version of Bun that will do, and the one that is taken if there is none. */
const OLDEST = '1.4.0'
const TAKEN = '1.4.5'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const args = ['--no-orphans', main, ...process.argv.slice(2)]

const installed = spawnSync('bun', ['--version'], { encoding: 'utf8' })
const isNewEnough = installed.status === 0 && compare(installed.stdout.trim(), OLDEST) >= 0
const child = isNewEnough
  ? spawn('bun', args, { stdio: 'inherit' })
  : spawn('npx', ['-y', '--prefer-offline', `bun@${TAKEN}`, ...args], { stdio: 'inherit' })

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => {
  console.error(`Bun can't be started: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => {
  process.exit(code ?? (signal === null ? 1 : 0))
})

/** Compares versions such as 1.4.5; what follows the numbers is ignored. */
function compare(a, b) {
  const numbers = (version) => version.split(/[.-]/, 3).map(Number)
  const [left, right] = [numbers(a), numbers(b)]
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2]
}
