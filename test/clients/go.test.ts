import { describe, expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GO_MINOR } from '../../clients/conformance/drivers.ts'
import { GO_FLAGS, runGo, whyNoGo } from '../support/go.ts'

// The module of the Go client, and its own tests, which read the vectors that all clients share.

const ROOT = join(import.meta.dir, '../..')
const MODULE = join(ROOT, 'clients/go')

const skipReason = await whyNoGo(GO_MINOR)
if (skipReason !== null) console.log(`skipped: ${skipReason}`)

const read = (file: string) => readFile(join(MODULE, file), 'utf8')

describe.skipIf(skipReason !== null)('the Go client', () => {
  test('is formatted', async () => {
    const child = Bun.spawn(['gofmt', '-l', '.'], { cwd: MODULE })
    expect(await child.stdout.text()).toBe('')
  })

  test('passes go vet', async () => {
    expect(await runGo(['vet', GO_FLAGS, './...'], MODULE)).toEqual({ isSuccess: true, output: '' })
  })

  test('passes its tests', async () => {
    const { isSuccess, output } = await runGo(['test', GO_FLAGS, '-vet=off', './...'], MODULE)
    if (!isSuccess) throw new Error(output)
  })
})

test('it depends on nothing, and its changelog describes its version', async () => {
  const [, version] = /Version = "(.+)"/.exec(await read('version.go'))!
  expect(await read('CHANGELOG.md')).toContain(`\n## [${version}]\n`)
  expect(await read('go.mod')).toEndWith(`/clients/go\n\ngo 1.${GO_MINOR}\n`)
  expect(await read('LICENSE')).toBe(await readFile(join(ROOT, 'LICENSE'), 'utf8'))
})
