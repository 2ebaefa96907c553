import { beforeAll, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { formatManifest, type Manifest } from '../../src/archive/manifest.ts'
import { parametersOf, runsOf, timeoutOf } from '../property/runs.ts'
import {
  countEvents,
  importTestArchive,
  problemsOf,
  runCommand,
  useFolder,
  writeTestArchive,
} from '../support/archive.ts'
import { useDatabase } from '../support/server.ts'
import { startTestService } from '../support/service.ts'

const runs = runsOf(40)

const folder = useFolder()
/** The archive that each test damages and restores. */
let archive: string
/** The database for imports, all of which are refused: its log stays empty. */
const empty = useDatabase()

beforeAll(async () => {
  archive = join(folder.path, 'archive')
  const service = await startTestService()
  await service.putCatalog({
    provider_groups: [{ id: 1, name: 'one' }],
    api_keys: [{ id: 1, group_id: 1 }],
    keys: [{ token_hash: 'k1', quota_limit: 10 }],
  })
  for (let i = 0; i < 20; i++) {
    const keys = { 'idempotency-key': `flush-${i}` }
    const entry = { api_key_id: 1 + (i % 2), requests: i, success_requests: i >> 1 }
    await service.post('/internal/apikey-stats/flush', { keys: [entry, entry] }, keys)
    const used = { token_hash: 'k1', requests: 1, tokens: i, last_accessed_at: i }
    await service.post('/internal/stats/flush', { keys: [used] })
  }
  await writeTestArchive(service.database, archive, { part: { events: 7, characters: 1_000_000 } })
  await service.end()
})

const filesOf = () =>
  readdirSync(archive, { recursive: true })
    .map(String)
    .filter((file) => statSync(join(archive, file)).isFile())
    .sort()

const pathOf = (file: string) => join(archive, file)

/** Damages the archive, runs `then`, and restores the files. */
async function during(damage: () => void, then: () => Promise<void>): Promise<void> {
  const files = filesOf().map((file) => [pathOf(file), readFileSync(pathOf(file))] as const)
  damage()
  try {
    await then()
  } finally {
    rmSync(archive, { recursive: true })
    for (const [path] of files) mkdirSync(dirname(path), { recursive: true })
    for (const [path, bytes] of files) writeFileSync(path, bytes)
  }
}

async function expectRefused(): Promise<void> {
  expect(await importTestArchive(empty, archive)).not.toBe(null)
  expect(await countEvents(empty.owner)).toBe(0)
}

test('an undamaged archive has no problem', async () => {
  expect(await problemsOf(archive)).toEqual([])
  expect(filesOf().length).toBeGreaterThan(5)
})

test(
  `a flipped bit in any file is reported with the file, and nothing is imported, ${runs} times`,
  async () => {
    const files = filesOf()
    const property = fc.asyncProperty(fc.nat(), fc.nat(), fc.nat(7), async (which, where, bit) => {
      const file = files[which % files.length]!
      const flip = () => {
        const bytes = readFileSync(pathOf(file))
        bytes[where % bytes.length]! ^= 1 << bit
        writeFileSync(pathOf(file), bytes)
      }
      await during(flip, async () => {
        const problems = await problemsOf(archive)
        expect(problems.filter((problem) => problem.includes(file))).not.toEqual([])
        await expectRefused()
      })
    })
    await fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs),
)

test('a file that is truncated, duplicated, replaced or missing is reported', async () => {
  const part = 'shard-0/part-00001.ndjson.gz'
  const bytes = readFileSync(pathOf(part))
  const damages: (() => void)[] = [
    ...[0, 1, 10, bytes.length >> 1, bytes.length - 1].map((length) => () => {
      writeFileSync(pathOf(part), bytes.subarray(0, length))
    }),
    () => writeFileSync(pathOf(part), Buffer.concat([bytes, bytes])),
    () => writeFileSync(pathOf(part), Buffer.concat([bytes, Buffer.alloc(9)])),
    () => rmSync(pathOf(part)),
    () => {
      rmSync(pathOf(part))
      symlinkSync('/dev/zero', pathOf(part))
    },
  ]
  for (const damage of damages) {
    await during(damage, async () => {
      expect((await problemsOf(archive))[0]).toStartWith(part)
      await expectRefused()
    })
  }
})

test('an additional file is reported', async () => {
  await during(
    () => writeFileSync(pathOf('shard-0/part-00099.ndjson.gz'), ''),
    async () => {
      const problems = await problemsOf(archive)
      expect(problems).toEqual(['shard-0/part-00099.ndjson.gz: not a file of the archive'])
    },
  )
})

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

/** Changes the manifest and updates its hash, as a forger who knows the format could. */
function forgeManifest(change: (manifest: Manifest) => void): void {
  const manifest = JSON.parse(readFileSync(pathOf('manifest.json'), 'utf8')) as Manifest
  change(manifest)
  const text = formatManifest(manifest)
  writeFileSync(pathOf('manifest.json'), text)
  writeFileSync(pathOf('manifest.json.sha256'), `${sha256(text)}  manifest.json\n`)
}

/** Changes the lines of a part and updates the hashes of the file and the manifest. */
function forgeLines(change: (lines: string[]) => string[], index = 1): void {
  const file = `shard-0/part-0000${index}.ndjson.gz`
  const lines = gunzipSync(readFileSync(pathOf(file)))
    .toString()
    .split('\n')
    .slice(0, -1)
  const bytes = gzipSync(
    change(lines)
      .map((line) => `${line}\n`)
      .join(''),
  )
  writeFileSync(pathOf(file), bytes)
  forgeManifest(({ shards }) => {
    Object.assign(shards[0]!.parts[index]!, { bytes: bytes.length, sha256: sha256(bytes) })
  })
}

/** Changes the third line of the second part, which is event 0/9. */
const forgeLine = (change: (line: string) => string) =>
  forgeLines((lines) => {
    expect(change(lines[2]!)).not.toBe(lines[2]!)
    return lines.with(2, change(lines[2]!))
  })

test('a change of any member of an event is reported even if all file hashes match', async () => {
  const members: [RegExp, string][] = [
    [/"shard":0/, '"shard":1'],
    [/"position":9/, '"position":8'],
    [/"type":"(Api)?Key/, '"type":"Kei'],
    [/"version":\d/, '"version":7'],
    [/"recorded_at":"\d{4}/, '"recorded_at":"1999'],
    [/"source":"dp"/, '"source":"pd"'],
    [/"idempotency_key":(?:null|"[^"]*")/, '"idempotency_key":"forged"'],
    [/"payload_sha256":"..../, '"payload_sha256":"0000'],
    [/"leaf_hash":"..../, '"leaf_hash":"0000'],
    [/"leaf_hash":"[0-9a-f]{64}",/, ''],
    [/"requests":\[\d/, '"requests":[9'],
    [/"payload":\{/, '"payload":{ '],
    [/\}$/, ',"more":1}'],
  ]
  for (const [from, to] of members) {
    await during(
      () => forgeLine((line) => line.replace(from, to)),
      async () => {
        const problems = await problemsOf(archive)
        expect(problems[0]).toStartWith('shard-0/part-00001.ndjson.gz 0/9: ')
        await expectRefused()
      },
    )
  }
})

test('missing, duplicated, swapped or moved lines are reported', async () => {
  for (const change of [
    (lines: string[]) => lines.toSpliced(2, 1),
    (lines: string[]) => lines.toSpliced(2, 0, lines[2]!),
    (lines: string[]) => [lines[1]!, lines[0]!, ...lines.slice(2)],
    (lines: string[]) => lines.slice(0, -1),
    (lines: string[]) => [...lines, lines[0]!],
    (lines: string[]) => lines.with(2, ''),
    (lines: string[]) => lines.with(2, '\ufeff'),
    () => [],
  ]) {
    await during(
      () => forgeLines(change),
      async () => {
        expect((await problemsOf(archive))[0]).toStartWith('shard-0/part-00001.ndjson.gz')
        await expectRefused()
      },
    )
  }
})

test('every number in the manifest is compared with the archive', async () => {
  const changes: ((manifest: Manifest) => void)[] = [
    (manifest) => manifest.events++,
    (manifest) => manifest.shards[0]!.events++,
    (manifest) => manifest.shards.pop(),
    ({ shards }) => shards[0]!.last_position!++,
    ({ shards }) => shards[0]!.first_position!++,
    ({ shards }) => Object.assign(shards[0]!, { first_recorded_at: 'x' }),
    ({ shards }) => Object.assign(shards[0]!, { last_recorded_at: null }),
    ({ shards }) => shards[0]!.types.CatalogChanged!++,
    ({ shards }) => Object.assign(shards[0]!.types, { More: 1 }),
    ({ shards }) => shards[0]!.parts.pop(),
    ({ shards }) => shards[0]!.parts[1]!.events++,
    ({ shards }) => shards[0]!.parts[1]!.first_position--,
    ({ shards }) => shards[0]!.parts[1]!.last_position++,
    ({ shards }) => shards[0]!.parts[1]!.bytes++,
    ({ shards }) => Object.assign(shards[0]!.parts[1]!, { sha256: sha256('') }),
    ({ shards }) => Object.assign(shards[0]!.parts[1]!, { file: '../../../etc/passwd' }),
    ({ totals }) => Object.assign(totals.api_key_flushes, { entries: '1' }),
    ({ totals }) => Object.assign(totals.api_key_flushes, { requests: '1' }),
    ({ totals }) => Object.assign(totals.api_key_flushes, { successes: '0' }),
    ({ totals }) => Object.assign(totals.key_flushes, { entries: '1' }),
    ({ totals }) => Object.assign(totals.key_flushes, { requests: '1' }),
    ({ totals }) => Object.assign(totals.key_flushes, { tokens: '1' }),
    ({ totals }) => totals.unreadable_events++,
    (manifest) => Object.assign(manifest, { format_version: 2 }),
    (manifest) => Object.assign(manifest, { more: 1 }),
  ]
  for (const change of changes) {
    await during(
      () => forgeManifest(change),
      async () => {
        expect((await problemsOf(archive)).length).toBeGreaterThan(0)
        await expectRefused()
      },
    )
  }
})

test('verify and import report the same problem', async () => {
  const run = async (command: string, directory: string) => {
    const { code, ...output } = await runCommand([command, directory], empty.address)
    const plain = JSON.stringify(output).replaceAll(folder.path, '<folder>')
    return { code, ...(JSON.parse(plain) as typeof output) }
  }
  const clean = await run('verify', archive)
  expect(clean).toMatchObject({ code: 0, stderr: '' })
  await during(
    () => forgeLine((line) => line.replace(/"source":"dp"/, '"source":"pd"')),
    async () => {
      const verified = await run('verify', archive)
      expect(verified.stdout).toStartWith('shard-0/part-00001.ndjson.gz 0/9: ')
      expect(verified).toMatchSnapshot()
      const imported = await run('import', archive)
      expect(imported.code).toBe(1)
      const [problem] = verified.stdout.split('\n')
      expect(imported.stderr).toBe(`Nothing was imported. ${problem}.\n`)
      expect(await countEvents(empty.owner)).toBe(0)
    },
  )
  const nowhere = join(folder.path, 'nowhere')
  expect(await run('verify', nowhere)).toMatchSnapshot()
  expect((await run('import', nowhere)).code).toBe(1)
  expect(existsSync(nowhere)).toBe(false)
})
