import { hashPayload, tryDecodeEvent } from '../../events/event.ts'
import { type LineEvent, parseEventLine } from '../../events/event-line.ts'
import { hashLeaf } from '../../events/leaf.ts'
import { Frontier } from '../merkle/frontier.ts'
import { equalHashes, type Hash } from '../merkle/hash.ts'
import type { VerifierKey } from '../merkle/key.ts'
import { TILE_WIDTH } from '../merkle/tile.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import type { Acts } from './acts/acts.ts'
import { hasUnknownEntries } from './acts/unknown-entries.ts'
import { AnnouncedEvents } from './announced-events.ts'
import { AttestationChecks } from './attested.ts'
import type { FindingKind, OnFinding } from './finding.ts'
import { ShardFold } from './fold.ts'
import { PublishedLeaves } from './leaves.ts'
import { readLinkedHeads } from './origins.ts'
import type { Receipt } from './receipt.ts'
import { describeChange, type ReshardedArchive } from './resharded.ts'
import type { LogSource } from './sources/source.ts'
import { TrustedRoots } from './trusted-roots.ts'
import { UpperTiles } from './upper-tiles.ts'
import { WalkedBlocks } from './walked-blocks.ts'

/** Attestations read ahead of the walk, because they state earlier positions. */
const MAX_PREFETCHED = 256

/** The shard, and what it is checked with. */
export type ShardAuditOptions = {
  source: LogSource
  shard: number
  /** Keys whose signature on a linked head is trusted. */
  keys: readonly VerifierKey[]
  /** The archive from which the log was resharded, or null if the auditor doesn't have it. */
  resharded: ReshardedArchive | null
  /** Collects the acts. */
  acts: Acts
  onFinding: OnFinding
  /** Called with remarks that are not findings. */
  onNote: (message: string) => void
}

/**
 * Walks one shard once, from its first event on: checks payloads, leaves, tiles, roots and order,
 * and folds the events. Memory depends on the number of keys.
 */
export class ShardAudit {
  readonly shard: number
  readonly fold = new ShardFold()
  readonly claims: AttestationChecks
  readonly roots: TrustedRoots
  /** The events walked, if events can be read. */
  readonly walked = new WalkedBlocks()
  /** Called after each folded event. */
  onFolded: (fold: ShardFold) => void = () => {}
  readonly #events = new Frontier()
  readonly #tiles = new Frontier()
  readonly #attestations: AnnouncedEvents
  readonly #origins: AnnouncedEvents
  readonly #receipts = new Map<number, Receipt[]>()
  readonly #upper: UpperTiles | null
  #recordedAt = ''

  constructor(private readonly options: ShardAuditOptions) {
    const { source, shard, onFinding } = options
    this.shard = shard
    const { published } = source
    this.#upper = published === null ? null : new UpperTiles(published, shard, onFinding)
    this.claims = new AttestationChecks(shard, onFinding)
    this.roots = new TrustedRoots(onFinding)
    this.#attestations = new AnnouncedEvents(shard, 'ProjectionAttested', onFinding)
    this.#origins = new AnnouncedEvents(shard, 'OriginChanged', onFinding)
  }

  /** The number of events walked, or of leaves if events can't be read. */
  get size(): number {
    return this.#events.size
  }

  /** When the last walked event was recorded, or empty before the first. */
  get newestAt(): string {
    return this.fold.recordedAt
  }

  /** Adds a receipt under its file's name. The walk must not have passed its event yet. */
  addReceipt(name: string, receipt: Receipt): void {
    const { position } = receipt.event
    this.#receipts.set(position, [...(this.#receipts.get(position) ?? []), receipt])
    const { size, root } = receipt.head
    const whose = `the head of the receipt for ${this.shard}/${position}`
    this.roots.add({ size, root, whose, kind: 'receipt', at: name })
  }

  /** Walks to the size of a signed head. */
  async advance(head: SignedTreeHead, onProgress: (size: number) => void): Promise<void> {
    const at = `shard ${this.shard}`
    const { size, root } = head
    this.roots.add({ size, root, whose: 'the signed tree head', kind: 'root', at })
    await this.advanceUnsigned(size, onProgress)
  }

  /** Walks to a size that need not be signed. */
  async advanceUnsigned(size: number, onProgress: (size: number) => void): Promise<void> {
    this.roots.compare(this.#events, this.#tiles)
    const { events, published } = this.options.source
    const leaves =
      published === null
        ? null
        : new PublishedLeaves(published, this.shard, this.size, size, this.options.onFinding)
    if (events === null) {
      if (leaves !== null) await this.#walkPublished(size, leaves, onProgress)
      await this.#upper?.compare()
      return
    }
    try {
      await this.#walkEvents(size, leaves, onProgress)
      await this.#upper?.compare()
    } finally {
      await this.#attestations.close()
      await this.#origins.close()
    }
  }

  async #walkEvents(
    size: number,
    leaves: PublishedLeaves | null,
    onProgress: (size: number) => void,
  ): Promise<void> {
    const from = this.size
    const { readEventsOfType, readLines } = this.options.source.events!
    this.#attestations.begin(readEventsOfType(this.shard, 'ProjectionAttested', from, size))
    this.#origins.begin(readEventsOfType(this.shard, 'OriginChanged', from, size))
    this.claims.begin(this.fold)
    await this.#readOrigins()
    let published: Hash[] | null = null
    for await (const line of readLines(this.shard, from, size)) {
      const position = this.size
      if (position === size) break
      if (position % TILE_WIDTH === 0 || position === from) {
        published = leaves === null ? null : await leaves.readTile()
        onProgress(position)
      }
      if (this.#attestations.isOpen) await this.#readAttestations()
      if (!(await this.#checkLine(line, published))) return
    }
    if (this.size < size) {
      this.#find('order', this.size, `${size - this.size} events of the log are missing`)
    }
    this.#attestations.end(this.size)
    this.#origins.end(this.size)
  }

  async #walkPublished(
    size: number,
    leaves: PublishedLeaves,
    onProgress: (size: number) => void,
  ): Promise<void> {
    while (this.size < size) {
      onProgress(this.size)
      const published = await leaves.readTile()
      const skipped = this.size % TILE_WIDTH
      if (published === null) return
      for (const hash of published.slice(skipped)) await this.#append(hash, hash)
    }
  }

  /** Checks a line. Returns false if the events after it can't be interpreted. */
  async #checkLine(line: string, published: Hash[] | null): Promise<boolean> {
    const position = this.size
    const parsed = parseEventLine(line)
    if (parsed.kind === 'malformed') {
      this.#find('order', position, `the line is not an event: ${parsed.reason}`)
      return false
    }
    const { event, leaf } = parsed
    if (event.shard !== this.shard || event.position !== position) {
      this.#find('order', position, `found event ${event.shard}/${event.position} instead`)
      return false
    }
    const leafHash = hashLeaf(leaf)
    const hash = published?.[position % TILE_WIDTH] ?? leafHash
    if (!equalHashes(leafHash, hash)) {
      this.#find('rewritten', position, 'the event does not match its leaf in the tree')
    }
    this.#checkEvent(event)
    this.#checkReceipts(position, leafHash)
    const decoded = tryDecodeEvent(event)
    this.options.acts.note(decoded, event, this.fold)
    this.fold.add(decoded, position, event.recordedAt)
    this.walked.append(leafHash, event.recordedAt, hasUnknownEntries(decoded))
    this.onFolded(this.fold)
    this.claims.compare(this.fold)
    this.claims.forgetUsage(this.fold)
    await this.#append(leafHash, hash)
    return true
  }

  #checkEvent(event: LineEvent): void {
    const { type, payload, payloadSha256, recordedAt, position } = event
    if (hashPayload(payload) !== payloadSha256) {
      this.#find('payload', position, 'the payload does not match its hash in the leaf')
    }
    if (recordedAt < this.#recordedAt) {
      this.#find('order', position, `recorded at ${recordedAt}, before the preceding event`)
    }
    this.#recordedAt = recordedAt
    if (type === 'ProjectionAttested') this.#attestations.confirm(event)
    if (type === 'OriginChanged') this.#origins.confirm(event)
    if (type === 'ShardsChanged') this.#confirmResharded(event)
  }

  #confirmResharded(event: LineEvent): void {
    const decoded = tryDecodeEvent(event)
    if (decoded?.type !== 'ShardsChanged') return
    const { resharded, onNote } = this.options
    const { position, version } = event
    if (resharded !== null) resharded.confirm(this.shard, position, decoded.data, version)
    else if (this.shard === 0 || decoded.data.previous.length > 0) {
      onNote(describeChange(`${this.shard}/${position}`, decoded.data))
    }
  }

  #checkReceipts(position: number, leafHash: Hash): void {
    for (const receipt of this.#receipts.get(position) ?? []) {
      if (equalHashes(receipt.leafHash, leafHash)) continue
      this.#find('receipt', position, 'the log has another event than the receipt')
    }
  }

  async #readAttestations(): Promise<void> {
    while (this.#attestations.pending < MAX_PREFETCHED) {
      const announced = await this.#attestations.next()
      if (announced === null) return
      const { position, event } = announced
      if (event.type !== 'ProjectionAttested') continue
      this.claims.add(position, event.data, this.fold)
    }
  }

  /**
   * Reads the heads of previous origins that the log links. The walk reaches their sizes before the
   * events that link them.
   */
  async #readOrigins(): Promise<void> {
    for (let next = await this.#origins.next(); next; next = await this.#origins.next()) {
      const { position, event } = next
      if (event.type !== 'OriginChanged') continue
      const at = `${this.shard}/${position}`
      const { previous } = event.data
      const linked = readLinkedHeads(at, previous, this.options.keys)
      if (linked.kind === 'note') this.options.onNote(linked.message)
      else if (linked.root.size >= this.size) this.roots.add(linked.root)
      else
        this.options.onNote(`${linked.root.whose} was not compared: it precedes this audit's start`)
    }
  }

  async #append(leafHash: Hash, tileHash: Hash): Promise<void> {
    this.#events.append(leafHash)
    this.#tiles.append(tileHash)
    await this.#upper?.append(tileHash)
    this.roots.compare(this.#events, this.#tiles)
  }

  #find(kind: FindingKind, position: number, message: string): void {
    this.options.onFinding({ kind, at: `${this.shard}/${position}`, message })
  }
}
