import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'

// The files that a contributor reads first agree with each other.

const ROOT = join(import.meta.dir, '..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const manifest = JSON.parse(read('package.json'))

test('CHANGELOG.md and package.json agree on the newest version', () => {
  const versions = [...read('CHANGELOG.md').matchAll(/^## \[(.+?)\]/gm)].map(([, name]) => name!)
  expect(versions.find((version) => version !== 'Unreleased')).toBe(manifest.version)
})

test('no source file repeats the version of package.json', () => {
  const files = [...new Glob('src/**/*.{ts,tsx}').scanSync(ROOT)]
  expect(files.filter((file) => read(file).includes(`'${manifest.version}'`))).toEqual([])
  expect(files.length).toBeGreaterThan(100)
})

test('LICENSE is the license named in package.json', () => {
  expect(read('LICENSE')).toStartWith(`${manifest.license} License`)
})

test('.editorconfig and biome.json agree on indentation and line width', () => {
  const { formatter } = JSON.parse(read('biome.json'))
  const [, everyFile] = read('.editorconfig').split(/^\[.*\]$/m)
  const lines = everyFile!.trim().split('\n')
  expect(Object.fromEntries(lines.map((line) => line.split(' = ')))).toMatchObject({
    indent_style: formatter.indentStyle,
    indent_size: String(formatter.indentWidth),
    max_line_length: String(formatter.lineWidth),
  })
})

test('every script and file named in CONTRIBUTING.md exists', () => {
  const text = read('CONTRIBUTING.md')
  const scripts = [...text.matchAll(/\bbun run ([\w:]+)/g)].map(([, script]) => script!)
  expect(scripts.filter((script) => !(script in manifest.scripts))).toEqual([])
  expect(scripts.length).toBeGreaterThan(10)
  const paths = text.matchAll(/[`(]((?:src|sql|test|bench|docs|\.ci)\b[\w./-]*)[`)]/g)
  const files = [...paths].map(([, path]) => path!)
  expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
  expect(files.length).toBeGreaterThan(10)
})
