import { PayloadError } from '../events/columns.ts'
import { decodeEvent, type Event, hashPayload } from '../events/event.ts'
import { type LineEvent, parseEventLine } from '../events/event-line.ts'
import { Frontier } from '../merkle/frontier.ts'
import { equalHashes, type Hash, hashLeaf } from '../merkle/hash.ts'
import { TILE_WIDTH } from '../merkle/tile.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import { Claims } from './attested.ts'
import type { FindingKind, Report } from './finding.ts'
import { ShardFold } from './fold.ts'
import { readPublished, tileOfLeaf } from './leaves.ts'
import type { Receipt } from './receipt.ts'
import type { LogSource } from './source.ts'
import { UpperTiles } from './upper-tiles.ts'

/** A root that somebody has kept, and whose it is: the walk passes its size and compares. */
export type KeptRoot = { size: number; root: Hash; whose: string; kind: FindingKind }

/**
 * Goes through one shard from its first event on, once, in memory that depends on the number of
 * keys: payloads, leaves, tiles, roots, order, and what all of it comes to.
 */
export class ShardAudit {
  readonly fold = new ShardFold()
  readonly claims: Claims
  /** Called whenever the fold has come one event further. */
  onFolded: (fold: ShardFold) => void = () => {}
  readonly #events = new Frontier()
  readonly #tiles = new Frontier()
  #kept: KeptRoot[] = []
  readonly #receipts = new Map<number, Receipt>()
  readonly #upper: UpperTiles | null
  #recordedAt = ''
  #onProgress: (size: number) => void = () => {}

  constructor(
    private readonly source: LogSource,
    readonly shard: number,
    private readonly report: Report,
  ) {
    this.claims = new Claims(shard, report)
    const { published } = source
    this.#upper = published === null ? null : new UpperTiles(published, shard, report)
  }

  /** Events (or leaves, where that is all there is to read) that were gone through. */
  get size(): number {
    return this.#events.size
  }

  /** How large the tree has to be for all that others have kept of it. */
  get keptSize(): number {
    return Math.max(0, ...this.#kept.map(({ size }) => size))
  }

  keep(root: KeptRoot): void {
    this.#kept.push(root)
  }

  /** A receipt whose event the walk hasn't passed yet. */
  keepReceipt(receipt: Receipt): void {
    this.#receipts.set(receipt.event.position, receipt)
    const { size, root } = receipt.head
    const whose = `the head of the receipt for ${this.shard}/${receipt.event.position}`
    this.keep({ size, root, whose, kind: 'receipt' })
  }

  /** Goes on as far as a signed head covers. */
  async advance(head: SignedTreeHead, onProgress: (size: number) => void): Promise<void> {
    const { size, root } = head
    this.#onProgress = onProgress
    this.keep({ size, root, whose: 'the signed tree head', kind: 'root' })
    this.#compareRoots()
    if (this.source.events === null) await this.#walkPublished(size)
    else await this.#walkEvents(size)
    await this.#upper?.compare()
  }

  async #walkEvents(size: number): Promise<void> {
    const from = this.size
    const { readAttestations, readLines } = this.source.events!
    for await (const line of readAttestations(this.shard, from, size)) this.#noteClaims(line)
    let published: Hash[] | null = null
    for await (const line of readLines(this.shard, from, size)) {
      const position = this.size
      if (position === size) break
      if (position % TILE_WIDTH === 0 || position === from) {
        published = await this.#readPublished(position, size)
        this.#onProgress(position)
      }
      if (!(await this.#checkLine(line, published))) return
    }
    if (this.size < size) {
      this.#find('order', this.size, `${size - this.size} events of the signed log are missing`)
    }
  }

  async #walkPublished(size: number): Promise<void> {
    while (this.size < size) {
      const published = await this.#readPublished(this.size, size)
      const skipped = this.size % TILE_WIDTH
      if (published === null) return
      for (const hash of published.slice(skipped)) await this.#append(hash, hash)
    }
  }

  /** False where nothing behind it can be made sense of. */
  async #checkLine(line: string, published: Hash[] | null): Promise<boolean> {
    const position = this.size
    const parsed = parseEventLine(line)
    if (parsed.kind === 'malformed') {
      this.#find('order', position, `what stands there is not an event: ${parsed.reason}`)
      return false
    }
    const { event, leaf } = parsed
    if (event.shard !== this.shard || event.position !== position) {
      this.#find('order', position, `event ${event.shard}/${event.position} stands there`)
      return false
    }
    const leafHash = hashLeaf(leaf)
    const hash = published?.[position % TILE_WIDTH] ?? leafHash
    if (!equalHashes(leafHash, hash)) {
      this.#find('rewritten', position, 'the event is not the one whose leaf is in the tree')
    }
    this.#checkEvent(event)
    this.#checkReceipt(position, leafHash)
    this.fold.add(readEvent(event), position, event.recordedAt)
    this.#noteOwnClaims(event)
    this.onFolded(this.fold)
    this.claims.compare(this.fold)
    this.claims.forgetUsage(this.fold)
    await this.#append(leafHash, hash)
    return true
  }

  #checkEvent({ payload, payloadSha256, recordedAt, position }: LineEvent): void {
    if (hashPayload(payload) !== payloadSha256) {
      this.#find('payload', position, 'its payload is not the one whose hash the leaf has')
    }
    if (recordedAt < this.#recordedAt) {
      this.#find('order', position, `it was recorded at ${recordedAt}, before the one before it`)
    }
    this.#recordedAt = recordedAt
  }

  #checkReceipt(position: number, leafHash: Hash): void {
    const receipt = this.#receipts.get(position)
    if (!receipt || equalHashes(receipt.leafHash, leafHash)) return
    this.#find('receipt', position, 'the log holds another event than the receipt')
  }

  /** An attestation is read ahead, as what it is about comes before it. */
  #noteClaims(line: string): void {
    const parsed = parseEventLine(line)
    if (parsed.kind === 'malformed') return
    const event = readEvent(parsed.event)
    if (event?.type !== 'ProjectionAttested') return
    this.claims.add(parsed.event.position, event.attestation, this.fold)
  }

  /** One that wasn't told of ahead can't be compared any more. */
  #noteOwnClaims(event: LineEvent): void {
    if (event.type !== 'ProjectionAttested' || this.claims.has(event.position)) return
    if (readEvent(event) === null) return
    this.#find('attestation', event.position, 'the list of attestations left it out')
  }

  async #readPublished(position: number, size: number): Promise<Hash[] | null> {
    if (this.source.published === null) return null
    const tile = tileOfLeaf(position, size)
    return readPublished(this.source.published, this.shard, tile, this.report)
  }

  async #append(leafHash: Hash, tileHash: Hash): Promise<void> {
    this.#events.append(leafHash)
    this.#tiles.append(tileHash)
    await this.#upper?.append(tileHash)
    this.#compareRoots()
  }

  #compareRoots(): void {
    const reached = this.#kept.filter(({ size }) => size === this.size)
    if (reached.length === 0) return
    this.#kept = this.#kept.filter(({ size }) => size > this.size)
    for (const { size, root, whose, kind } of reached) {
      const at = `shard ${this.shard}`
      if (!equalHashes(this.#events.root(), root)) {
        const isTiles = equalHashes(this.#tiles.root(), root)
        const why = isTiles ? 'its tiles do, so events were rewritten' : 'nor do its tiles'
        const message = `the first ${size} events don't make the root of ${whose}; ${why}`
        this.report({ kind, at, message })
      } else if (!equalHashes(this.#tiles.root(), root)) {
        const message = `its tiles don't make the root of ${whose}, though the events do`
        this.report({ kind: 'published', at, message })
      }
    }
  }

  #find(kind: FindingKind, position: number, message: string): void {
    this.report({ kind, at: `${this.shard}/${position}`, message })
  }
}

/** Null where the event can't be read: it counts nothing, here and in the service. */
function readEvent({ type, version, payload }: LineEvent): Event | null {
  try {
    return decodeEvent(type, version, payload)
  } catch (error) {
    if (error instanceof PayloadError) return null
    throw error
  }
}
