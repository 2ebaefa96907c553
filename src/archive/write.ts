import { createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { StoredEvent } from '../events/event.ts'
import { toEventLine } from '../events/event-line.ts'
import { readHeads } from '../log/read.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { openDraft } from './draft.ts'
import {
  FORMAT_VERSION,
  formatManifest,
  MANIFEST,
  MANIFEST_SHA256,
  type Manifest,
  type PartManifest,
  partFile,
  type ShardManifest,
} from './manifest.ts'
import { readPages } from './pages.ts'
import { PartWriter } from './part.ts'
import { Tally } from './tally.ts'
import { formatSignedHeads, type SignedHeads } from './transparency.ts'

/** Maximum size of a part, in events and in characters before compression. */
export type PartLimits = { events: number; characters: number }

/** Small enough to transfer easily, and large enough that there are few. */
const PART: PartLimits = { events: 100_000, characters: 64 * 1024 * 1024 }

/** Options of an export. */
export type WriteOptions = {
  sql: Sql
  directory: string
  /** Version of this Tallybook. */
  version: string
  signal: AbortSignal
  onProgress: (events: number, total: number) => void
  part?: PartLimits
  /** Keys and heads of the log, read before the export began; none if absent. */
  signed?: SignedHeads | undefined
}

/**
 * Writes the log, up to the current heads, to a new folder. Returns its manifest. The folder
 * appears when it is complete and on disk, or not at all. Throws UserError if it exists.
 */
export async function writeArchive(options: WriteOptions): Promise<Manifest> {
  const draft = await openDraft(options.directory)
  try {
    await mkdir(draft.path, { mode: 0o700 })
    const manifest = await writeShards(options, draft.path)
    const text = formatManifest({ ...manifest, ...(await writeSignedHeads(options, draft.path)) })
    const sha256 = createHash('sha256').update(text).digest('hex')
    await writeSynced(join(draft.path, MANIFEST), text)
    await writeSynced(join(draft.path, MANIFEST_SHA256), `${sha256}  ${MANIFEST}\n`)
    options.signal.throwIfAborted()
    await draft.publish()
    return manifest
  } catch (error) {
    await draft.discard()
    throw error
  }
}

async function writeSignedHeads({ signed }: WriteOptions, folder: string) {
  if (!signed) return {}
  const signed_heads: NonNullable<Manifest['signed_heads']> = []
  await mkdir(join(folder, 'transparency/heads'), { recursive: true, mode: 0o700 })
  for (const [file, text] of formatSignedHeads(signed)) {
    await writeSynced(join(folder, file), text)
    const sha256 = createHash('sha256').update(text).digest('hex')
    signed_heads.push({ file, bytes: Buffer.byteLength(text), sha256 })
  }
  return { signed_heads }
}

async function writeShards(options: WriteOptions, folder: string): Promise<Manifest> {
  const { sql, signal, onProgress, version } = options
  const madeAt = new Date().toISOString()
  const heads = await readHeads(sql)
  const total = heads.reduce((sum, head) => sum + head + 1, 0)
  const tally = new Tally()
  const shards: ShardManifest[] = []
  let events = 0
  for (const [shard, head] of heads.entries()) {
    const writer = new ShardWriter(folder, shard, options.part ?? PART)
    try {
      for await (const page of readPages(sql, { shard, head }, signal)) {
        for (const event of page) tally.add(event)
        await writer.write(page)
        events += page.length
        onProgress(events, total)
      }
      shards.push(await writer.end())
    } catch (error) {
      await writer.abandon()
      throw error
    }
  }
  return {
    format: 'tallybook-archive',
    format_version: FORMAT_VERSION,
    made_at: madeAt,
    tallybook_version: version,
    events,
    shards,
    totals: tally.totals(),
  }
}

/** Writes the parts of one shard, one after the other. */
class ShardWriter {
  readonly #manifest: ShardManifest
  #writer: PartWriter | null = null
  #part: PartManifest | null = null
  #characters = 0

  constructor(
    private readonly folder: string,
    private readonly shard: number,
    private readonly limits: PartLimits,
  ) {
    this.#manifest = {
      shard,
      first_position: null,
      last_position: null,
      first_recorded_at: null,
      last_recorded_at: null,
      events: 0,
      // No prototype: a type may have any name.
      types: Object.create(null),
      parts: [],
    }
  }

  /** Adds events, and ends each part that is full. */
  async write(page: StoredEvent[]): Promise<void> {
    let lines: string[] = []
    for (const event of page) {
      this.#part ??= this.#beginPart(event)
      const line = `${toEventLine(event, { leafHash: true })}\n`
      lines.push(line)
      this.#characters += line.length
      this.#count(event, this.#part)
      const { limits } = this
      if (this.#part.events < limits.events && this.#characters < limits.characters) continue
      await this.#send(lines)
      await this.#endPart()
      lines = []
    }
    if (lines.length > 0) await this.#send(lines)
  }

  /** Ends the last part. Returns the shard's description. */
  async end(): Promise<ShardManifest> {
    if (this.#part) await this.#endPart()
    return this.#manifest
  }

  /** Closes the open file without completing it. */
  async abandon(): Promise<void> {
    await this.#writer?.abandon()
  }

  #beginPart({ position }: StoredEvent): PartManifest {
    const file = partFile(this.shard, this.#manifest.parts.length)
    const ends = { first_position: position, last_position: position }
    return { file, ...ends, events: 0, bytes: 0, sha256: '' }
  }

  #count(event: StoredEvent, part: PartManifest): void {
    part.events++
    part.last_position = event.position
    const manifest = this.#manifest
    manifest.first_position ??= event.position
    manifest.last_position = event.position
    manifest.first_recorded_at ??= event.recordedAt
    manifest.last_recorded_at = event.recordedAt
    manifest.events++
    manifest.types[event.type] = (manifest.types[event.type] ?? 0) + 1
  }

  async #send(lines: string[]): Promise<void> {
    if (this.#writer === null) {
      const path = join(this.folder, this.#part!.file)
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      this.#writer = await PartWriter.create(path)
    }
    await this.#writer.write(lines.join(''))
  }

  async #endPart(): Promise<void> {
    const part = this.#part!
    part.sha256 = await this.#writer!.close()
    part.bytes = this.#writer!.bytes
    this.#manifest.parts.push(part)
    this.#part = null
    this.#writer = null
    this.#characters = 0
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}
