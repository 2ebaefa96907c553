import { parseVerifierKey, type VerifierKey } from '../merkle/key.ts'
import type { SignedTreeHead, TreeHead } from '../merkle/tree-head.ts'
import { Acts } from './acts/acts.ts'
import { Evidence, type EvidenceOptions } from './evidence.ts'
import type { Finding, FindingKind, OnFinding } from './finding.ts'
import { compareHeads, noTiles } from './heads.ts'
import { NewestHeads } from './newest-heads.ts'
import { Pages } from './pages.ts'
import { ReshardedArchive } from './resharded.ts'
import { ShardAudit } from './shard-audit.ts'
import type { LogSource, ReshardedSource } from './sources/source.ts'
import { USAGE_LIMITS, type UsageLimits, type UsageReport } from './usage-pages.ts'

/** The log to audit, and what to verify. */
export type AuditOptions = EvidenceOptions & {
  source: LogSource
  /** The archive from which the log must have been resharded; not checked if absent. */
  resharded?: ReshardedSource | undefined
  /** Verifies only heads, their consistency, and that receipts are in them. */
  headsOnly: boolean
  /** How long (ms) a head may be behind what was seen elsewhere; 15 s if absent. */
  growMs?: number
  /** How much usage is compared; 1,000 rows of each catalog table if absent. */
  usage?: UsageLimits
  onProgress: (events: number, total: number) => void
}

/** The result of an audit: everything that it has verified. */
export type AuditReport = {
  /** Verified heads, by shard, without shards that have a finding about their head. */
  heads: Map<number, SignedTreeHead>
  /** Leaves verified, and events whose payload was verified: none if events can't be read. */
  leaves: number
  events: number
  /** Events of an archive that no head covers. They were only checked for consistency. */
  unsigned: number
  /** Digests and totals of attestations: compared, and passed before they could be. */
  claims: number
  missedClaims: number
  /** Reversals, adoptions and resets: compared with the events before them, and not compared. */
  acts: number
  missedActs: number
  receipts: number
  /** Events of the archive that were resharded and compared with the log. */
  resharded: number
  /** Rows of pages compared. */
  rows: number
  /** Usage compared, or null if none was. */
  usage: UsageReport | null
  /**
   * When the newest event was recorded (RFC 3339), or null if no event was read. Nothing else shows
   * how old the log is.
   */
  newestAt: string | null
  /** Remarks for the auditor that are not findings. */
  notes: string[]
}

/** An incremental audit: each `run` verifies what is new since the previous one. */
export class Audit {
  readonly #heads: NewestHeads
  readonly #shards: ShardAudit[]
  readonly #resharded: ReshardedArchive | null
  readonly #evidence: Evidence
  readonly #acts: Acts
  readonly #notes: string[] = []
  readonly #report: OnFinding
  #pages: Pages | null = null
  #rows = 0
  #usage: UsageReport | null = null
  #isFirst = true

  constructor(private readonly options: AuditOptions) {
    const { source, keys, onFinding } = options
    const { shards } = source
    this.#report = onFinding
    const shared = { keys, onFinding, onNote: (message: string) => void this.#notes.push(message) }
    const resharded =
      options.resharded && new ReshardedArchive({ source: options.resharded, shards, ...shared })
    this.#resharded = resharded ?? null
    const acts = new Acts(onFinding)
    this.#acts = acts
    const of = { source, resharded: this.#resharded, acts, ...shared }
    this.#shards = Array.from({ length: shards }, (_, shard) => new ShardAudit({ shard, ...of }))
    this.#evidence = new Evidence(options, this.#resharded, this.#shards)
    this.#heads = new NewestHeads(options, this.#evidence, this.#resharded)
  }

  /** Verifies what is new. Throws SourceError if the log can't be read. */
  async run(): Promise<AuditReport> {
    const { headsOnly, source } = this.options
    if (this.#isFirst) await this.#evidence.open()
    for (const { shard } of this.#shards)
      await this.#heads.read(shard, this.#isFirst ? this.#evidence.sizeOf(shard) : 0)
    if (this.#isFirst) this.#heads.checkShards()
    if (headsOnly) await this.#proveHeads()
    else {
      if (this.#isFirst) await this.#readPages()
      for (const audit of this.#shards) {
        // Shard 0 is the first, and has the acts.
        await this.#extendHead(audit.shard, this.#acts.sizeOf(audit.shard))
        await this.#walk(audit)
      }
      await this.#compareActs()
      if (this.#isFirst && source.events !== null) {
        for (const { shard } of this.#shards) this.#resharded?.end(shard)
      }
      if (this.#pages !== null) this.#comparePages(this.#pages)
    }
    this.#isFirst = false
    return this.#toReport()
  }

  /** Reads the pages. Heads are read first: pages must reflect what these cover. */
  async #readPages(): Promise<void> {
    const { source, usage = USAGE_LIMITS, onProgress } = this.options
    if (source.pages === null || source.events === null) return
    const signed = this.#shards.map(({ shard }) => (this.#heads.get(shard)?.size ?? 0) - 1)
    const pages = await Pages.read({
      source: source.pages,
      events: source.events,
      signed,
      limits: usage,
      report: this.#report,
      onPage: () => onProgress(0, signed[0]! + 1),
    })
    this.#pages = pages
    for (const audit of this.#shards) {
      pages.collect(audit.shard, audit.fold)
      audit.onFolded = (fold) => pages.collect(audit.shard, fold)
      audit.fold.counting = pages.countingOf(audit.shard)
      const needed = pages.sizeOf(audit.shard)
      const size = await this.#extendHead(audit.shard, needed)
      if (size === undefined || size >= needed) continue
      const message = `pages reflect ${needed} events, but the tree head covers only ${size}`
      this.#find('total', `shard ${audit.shard}`, message)
    }
  }

  /**
   * Reads a shard's head again if it covers fewer than `minSize` events. Returns its size, or
   * undefined if there is no head.
   */
  async #extendHead(shard: number, minSize: number): Promise<number | undefined> {
    const head = this.#heads.get(shard)
    if (head !== undefined && head.size < minSize) await this.#heads.read(shard, minSize)
    return this.#heads.get(shard)?.size
  }

  async #walk(audit: ShardAudit): Promise<void> {
    const { source, onProgress } = this.options
    const head = this.#heads.get(audit.shard)
    // The problem with its head has been reported.
    if (!head && source.sizes === null) return
    const size = Math.max(head?.size ?? 0, source.sizes?.[audit.shard] ?? 0)
    const onSize = (done: number) => onProgress(done, size)
    if (head) {
      await audit.advance(head, onSize)
      // A finding stopped the walk: later events can't be interpreted.
      if (audit.size < head.size) return
    }
    if (source.sizes !== null && size > audit.size) await audit.advanceUnsigned(size, onSize)
    audit.roots.end(audit.size)
  }

  /**
   * Compares acts with what they name, which may be in any shard. If a shard was not walked to its
   * end, the finding that stopped the walk explains why they can't be compared.
   */
  async #compareActs(): Promise<void> {
    const { source, onProgress } = this.options
    const isWhole = this.#shards.every(({ shard, size }) => {
      const signed = this.#heads.get(shard)?.size ?? (source.sizes === null ? Infinity : 0)
      return size >= Math.max(signed, source.sizes?.[shard] ?? 0)
    })
    if (source.events === null || !isWhole) return
    const walked = this.#shards
    const events = walked.reduce((sum, { size }) => sum + size, 0)
    const onBlock = () => onProgress(events, events)
    await this.#acts.compare({ source: source.events, walked, onBlock })
  }

  /**
   * Compares the pages, once. If a shard was not walked to its end, sums can't match; the finding
   * that stopped the walk explains why.
   */
  #comparePages(pages: Pages): void {
    const isWhole = this.#shards.every((audit) => audit.size >= pages.sizeOf(audit.shard))
    if (isWhole) ({ rows: this.#rows, usage: this.#usage } = pages.compare(this.#shards[0]!.fold))
    this.#pages = null
    for (const audit of this.#shards) {
      audit.onFolded = () => {}
      audit.fold.counting = null
    }
  }

  /**
   * Proves that the newest heads continue the trees of the receipts and of the resharded archive.
   */
  async #proveHeads(): Promise<void> {
    if (!this.#isFirst) return
    for (const { name, receipt } of this.#evidence.receipts) {
      const finding = await this.#proveHead(receipt.event.shard, receipt.head)
      if (finding) this.#find('receipt', name, `compared with the log: ${finding.message}`)
    }
    for (const { shard } of this.#resharded ? this.#shards : []) {
      const origin = this.#heads.get(shard)?.origin ?? ''
      const finding = await this.#proveHead(shard, { origin, ...this.#resharded!.rootOf(shard) })
      if (finding)
        this.#find('archive', `shard ${shard}`, `compared with the archive: ${finding.message}`)
    }
  }

  async #proveHead(shard: number, older: TreeHead): Promise<Finding | null> {
    const { published } = this.options.source
    const head = this.#heads.get(shard)
    if (!head) return null
    return compareHeads(shard, older, head, (tiles) =>
      published === null ? noTiles(tiles) : published.readTiles(shard, tiles),
    )
  }

  #toReport(): AuditReport {
    const sum = (count: (audit: ShardAudit) => number) =>
      this.#shards.reduce((total, audit) => total + count(audit), 0)
    const { source, receipts } = this.options
    const leaves = sum(({ size }) => size)
    return {
      heads: this.#heads.toMap(),
      leaves,
      events: source.events === null ? 0 : leaves,
      unsigned: sum(({ shard, size }) => Math.max(0, size - (this.#heads.get(shard)?.size ?? 0))),
      claims: sum(({ claims }) => claims.compared),
      missedClaims: sum(({ claims }) => claims.missed),
      acts: this.#acts.compared,
      missedActs: this.#acts.missed,
      receipts: receipts.size,
      resharded: this.#resharded?.events ?? 0,
      rows: this.#rows,
      usage: this.#usage,
      newestAt: this.#shards.map(({ newestAt }) => newestAt).reduce(newer, null),
      notes: [...this.#notes],
    }
  }

  #find(kind: FindingKind, at: string, message: string): void {
    this.#report({ kind, at, message })
  }
}

/** Returns the later of two times in the form of leaves. An empty `b` is ignored. */
const newer = (a: string | null, b: string) => (b !== '' && (a === null || b > a) ? b : a)

/** Parses verifier keys, and ignores texts that are none. */
export function parseKeys(texts: readonly string[]): VerifierKey[] {
  return texts.map(parseVerifierKey).filter((key) => key !== null)
}
