import { describe, expect, test } from 'bun:test'
import { sha256 } from '../../../src/proofs/merkle/hash.ts'
import {
  formatSigningKey,
  formatVerifierKey,
  isKeyName,
  makeSigningKey,
  parseSigningKey,
  parseVerifierKey,
} from '../../../src/proofs/merkle/key.ts'
import { openNote, parseNote, signNote } from '../../../src/proofs/merkle/note.ts'
import { formatProofFile, parseProofFile } from '../../../src/proofs/merkle/proof-file.ts'
import {
  formatTreeHead,
  openTreeHead,
  parseTreeHead,
  signTreeHead,
} from '../../../src/proofs/merkle/tree-head.ts'

// C2SP signed-note, "Example".
const EXAMPLE_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
const EXAMPLE_NOTE =
  'This is an example message.\n\n' +
  '— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n'
// C2SP tlog-checkpoint, the example.
const EXAMPLE_HEAD =
  'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n'
// golang.org/x/mod/sumdb/note, its example.
const GO_SIGNING_KEY =
  'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const GO_VERIFIER_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'

const key = makeSigningKey('stats.example.com/audit/log/0', sha256('seed'))
const other = makeSigningKey('witness.example.com', sha256('another seed'))
const TEXT = 'a text\n'

describe('keys', () => {
  test('the verifier key of the specification is parsed and verifies its note', () => {
    const read = parseVerifierKey(EXAMPLE_KEY)!
    expect(read).toMatchObject({ name: 'example.com/foo', id: '530d903a' })
    expect(formatVerifierKey(read)).toBe(EXAMPLE_KEY)
    expect(openNote(EXAMPLE_NOTE, [read])).toMatchObject({
      kind: 'signed',
      text: 'This is an example message.\n',
    })
  })

  test("a signing key has the format of Go's note package", () => {
    const read = parseSigningKey(GO_SIGNING_KEY)!
    expect(formatSigningKey(read)).toBe(GO_SIGNING_KEY)
    expect(formatVerifierKey(read)).toBe(GO_VERIFIER_KEY)
    expect(parseSigningKey(formatSigningKey(key))).toEqual(key)
  })

  test.each([
    '',
    'PRIVATE+KEY+a',
    GO_VERIFIER_KEY,
    GO_SIGNING_KEY.replace('c74f20a3', 'c74f20a4'),
    GO_SIGNING_KEY.replace('+AY', '+BY'),
    `${GO_SIGNING_KEY}\n`,
  ])('%p is not a signing key', (text) => {
    expect(parseSigningKey(text)).toBeNull()
  })

  test.each([
    '',
    GO_SIGNING_KEY,
    EXAMPLE_KEY.replace('foo', 'bar'),
    EXAMPLE_KEY.replace('+Aeky', '+BOky'),
    `${EXAMPLE_KEY}=`,
    EXAMPLE_KEY.slice(0, -4),
  ])('%p is not a verifier key', (text) => {
    expect(parseVerifierKey(text)).toBeNull()
  })

  test('a name has no space, plus sign or control character', () => {
    expect(['a', 'stats.example.com/audit/log/0', 'ä'].every(isKeyName)).toBe(true)
    expect(['', 'a b', 'a+b', 'a\nb', 'a\u00a0b', 'a\u0000', '\ud800'].some(isKeyName)).toBe(false)
  })
})

describe('a note', () => {
  const signed = signNote(TEXT, [key, other])

  test('is signed by each key and opened with any of them', () => {
    expect(parseNote(signed)!.signatures.map(({ name }) => name)).toEqual([key.name, other.name])
    expect(openNote(signed, [key])).toEqual({ kind: 'signed', text: TEXT, by: [key] })
    expect(openNote(signed, [other, key])).toEqual({ kind: 'signed', text: TEXT, by: [key, other] })
  })

  test('keeps additional signatures, whatever they are', () => {
    const witness = { name: 'w.example.com', id: '01020304', signature: Buffer.alloc(72, 7) }
    const cosigned = signNote(TEXT, [key], [witness])
    expect(parseNote(cosigned)!.signatures[1]).toEqual(witness)
    expect(openNote(cosigned, [key])).toEqual({ kind: 'signed', text: TEXT, by: [key] })
  })

  test('is rejected if no key is known or a signature is wrong', () => {
    const unknown = makeSigningKey(key.name, sha256('a third seed'))
    expect(openNote(signed, [unknown])).toMatchObject({ kind: 'unknown_key' })
    expect(openNote(signed, [])).toMatchObject({ kind: 'unknown_key' })
    const changed = signed.replace('a text', 'b text')
    expect(openNote(changed, [key, other])).toEqual({ kind: 'wrong_signature', key })
  })

  test('may have empty lines in its text', () => {
    const note = signNote('one\n\ntwo\n', [key])
    expect(openNote(note, [key])).toMatchObject({ text: 'one\n\ntwo\n' })
  })

  test.each([
    '',
    'a text\n',
    'a text\n\n',
    signed.trimEnd(),
    `${signed}\n`,
    signed.replace('— ', '- '),
    signed.replace('a text', 'a\ttext'),
    signed.replace('a text', 'a\r\ntext'),
    signed.replace(/ \S+\n$/, ' AAAA\n'),
    signed.replace(/=\n/, '\n'),
    signed.replace('a text', '\ud800'),
  ])('case %# is rejected as malformed', (note) => {
    expect(parseNote(note)).toBeNull()
    expect(openNote(note, [key])).toEqual({ kind: 'malformed' })
  })
})

describe('a tree head', () => {
  const head = { origin: key.name, size: 70_000, root: sha256('root') }

  test('of the specification is parsed and formatted', () => {
    const read = parseTreeHead(EXAMPLE_HEAD)!
    expect(read).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163 })
    expect(formatTreeHead(read)).toBe(EXAMPLE_HEAD)
  })

  test('may have further lines', () => {
    expect(parseTreeHead(`${EXAMPLE_HEAD}more\n`)).toEqual(parseTreeHead(EXAMPLE_HEAD))
  })

  test.each([
    EXAMPLE_HEAD.trimEnd(),
    EXAMPLE_HEAD.slice(1).replace(/^[^\n]*/, ''),
    EXAMPLE_HEAD.replace('20852163', '020852163'),
    EXAMPLE_HEAD.replace('20852163', '-1'),
    EXAMPLE_HEAD.replace('20852163', '9007199254740993'),
    EXAMPLE_HEAD.replace('CsUY', 'CsU'),
    `${EXAMPLE_HEAD}\n`,
  ])('case %# is rejected as malformed', (text) => {
    expect(parseTreeHead(text)).toBeNull()
  })

  test('is opened only with the key of its origin', () => {
    const { note } = signTreeHead(head, [key])
    expect(openTreeHead(note, [key])).toEqual({ kind: 'signed', ...head, note })
    expect(openTreeHead(note, [other])).toMatchObject({ kind: 'refused' })
    const foreign = signTreeHead({ ...head, origin: 'elsewhere' }, [key]).note
    expect(openTreeHead(foreign, [key])).toMatchObject({ kind: 'refused' })
    expect(openTreeHead(signNote(`${key.name}\nx\n`, [key]), [key])).toMatchObject({
      reason: 'the note is not a tree head',
    })
  })
})

describe('a proof file', () => {
  const file = {
    extra: '{"shard":0}',
    index: 41,
    proof: [sha256('a'), sha256('b')],
    head: signTreeHead({ origin: key.name, size: 42, root: sha256('root') }, [key]).note,
  }

  test('is parsed as it was formatted', () => {
    expect(parseProofFile(formatProofFile(file))).toEqual(file)
    const least = { ...file, extra: null, proof: [] }
    expect(parseProofFile(formatProofFile(least))).toEqual(least)
    expect(formatProofFile(least)).toBe(`c2sp.org/tlog-proof@v1\nindex 41\n\n${file.head}`)
  })

  test.each([
    '',
    formatProofFile(file).replace('@v1', '@v2'),
    formatProofFile(file).replace('index 41', 'index 041'),
    formatProofFile(file).replace('index 41\n', ''),
    formatProofFile(file).replace('extra ', 'extra  '),
    formatProofFile({ ...file, proof: Array(64).fill(sha256('a')) }),
    formatProofFile(file).replace('=\n', '\n'),
  ])('case %# is rejected as malformed', (text) => {
    expect(parseProofFile(text)).toBeNull()
  })
})
