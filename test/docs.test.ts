import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { Glob } from 'bun'

const ROOT = join(import.meta.dir, '..')
const documents = ['README.md', ...new Glob('docs/**/*.md').scanSync(ROOT)].sort()
const readText = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const scripts = Object.keys(JSON.parse(readText('package.json')).scripts)

/** The text without fenced code blocks. */
const withoutCode = (text: string) => text.replace(/^```[\s\S]*?^```$/gm, '')

/** The anchors of a document, made from its headings as GitHub makes them. */
function anchorsOf(path: string): string[] {
  const headings = withoutCode(readText(path)).matchAll(/^#{1,6} (.*)$/gm)
  return [...headings].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** A document's links to files of the repository, as a path from the root and an anchor. */
function linksOf(path: string) {
  const found = withoutCode(readText(path)).matchAll(/\]\(([^)\s]+)\)/g)
  return [...found]
    .map(([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [file, anchor] = link.split('#')
      const target = file ? relative(ROOT, join(ROOT, dirname(path), file)) : path
      return { link, target, anchor }
    })
}

describe('documents', () => {
  test('every link points to an existing file and heading', () => {
    const broken = documents.flatMap((path) =>
      linksOf(path)
        .filter(
          ({ target, anchor }) =>
            !existsSync(join(ROOT, target)) || (anchor && !anchorsOf(target).includes(anchor)),
        )
        .map(({ link }) => `${path}: ${link}`),
    )
    expect(broken).toEqual([])
  })

  test('every source path they mention exists', () => {
    const missing = documents.flatMap((path) =>
      [...readText(path).matchAll(/`((?:src|test|bench|sql|docs)\/[\w./-]+)`/g)]
        .map(([, file]) => file!.replace(/[.:]$/, ''))
        .filter((file) => !existsSync(join(ROOT, file)) && !isPartOfTestPath(file))
        .map((file) => `${path}: ${file}`),
    )
    expect(missing).toEqual([])
  })

  test('every script they mention exists', () => {
    const names = documents.flatMap((path) =>
      [...readText(path).matchAll(/`(?:npx [^`]*)?bun(?:@[\d.]+)? run ([\w:]+)/g)].map(
        ([, name]) => name!,
      ),
    )
    expect(names.filter((name) => !scripts.includes(name))).toEqual([])
  })

  test('the glossary has at most 25 entries, sorted', () => {
    const entries = [...readText('docs/glossary.md').matchAll(/^\| \*\*(.*?)\*\*/gm)].map(
      ([, word]) => word!,
    )
    expect(entries.length).toBeLessThanOrEqual(25)
    expect(entries).toEqual(entries.toSorted((a, b) => a.localeCompare(b)))
  })

  test('docs/README.md links to all of them except decisions', () => {
    const index = linksOf('docs/README.md').map(({ target }) => target)
    const expected = documents.filter(
      (path) =>
        path.startsWith('docs/') && !path.includes('decisions/') && path !== 'docs/README.md',
    )
    expect(expected.filter((path) => !index.includes(path))).toEqual([])
  })
})

/** True if a test path begins like this: `bun run test` accepts parts of paths. */
function isPartOfTestPath(file: string): boolean {
  return [...new Glob(`${file}*`).scanSync({ cwd: ROOT, onlyFiles: false })].length > 0
}
