import { parseVerifierKey, type VerifierKey } from '../merkle/key.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import type { Report } from './finding.ts'
import { checkHead, compareHeads } from './heads.ts'
import { Pages } from './pages.ts'
import { openReceipt } from './receipt.ts'
import { ShardAudit } from './shard-audit.ts'
import { type LogSource, SourceError } from './source.ts'

/** Milliseconds between two looks at a tree head that has to grow, and until it won't any more. */
const GROW_MS = { look: 500, most: 15_000 }

export type AuditOptions = {
  source: LogSource
  /** Those that are trusted for each shard, by what is known beforehand. */
  keys: readonly VerifierKey[]
  /** The heads that were verified last time, by shard: notes. */
  kept: ReadonlyMap<number, string>
  /** Texts of `.tlog-proof` files, by name. */
  receipts: ReadonlyMap<string, string>
  /** Heads and their consistency only. */
  headsOnly: boolean
  onFinding: Report
  onProgress: (events: number, total: number) => void
}

/** What was gone through. */
export type AuditReport = {
  /** Verified heads, by shard; a shard with a finding about its head is left out. */
  heads: Map<number, SignedTreeHead>
  events: number
  /** Digests and totals of attestations that were compared. */
  claims: number
  missedClaims: number
  receipts: number
  /** Rows of pages that were compared. */
  rows: number
}

/** An audit that goes on: each `run` verifies what is new since the one before. */
export class Audit {
  readonly #heads = new Map<number, SignedTreeHead>()
  readonly #shards: ShardAudit[]
  #pages: Pages | null = null
  #receipts = 0
  #rows = 0
  #isFirst = true
  readonly #report: Report

  constructor(private readonly options: AuditOptions) {
    const { source, onFinding } = options
    this.#report = onFinding
    this.#shards = Array.from(
      { length: source.shards },
      (_, shard) => new ShardAudit(source, shard, this.#report),
    )
  }

  /** Throws SourceError where the log can't be read on. */
  async run(): Promise<AuditReport> {
    const { source, headsOnly } = this.options
    if (this.#isFirst) this.#openReceipts()
    if (this.#isFirst && !headsOnly) await this.#begin()
    for (const audit of this.#shards) await this.#readHead(audit.shard)
    if (!headsOnly) {
      for (const audit of this.#shards) await this.#walk(audit)
      if (this.#isFirst && this.#pages) this.#rows = this.#comparePages(this.#pages)
    }
    this.#isFirst = false
    const sum = (of: (audit: ShardAudit) => number) =>
      this.#shards.reduce((total, audit) => total + of(audit), 0)
    return {
      heads: new Map(this.#heads),
      events: source.events === null ? 0 : sum(({ size }) => size),
      claims: sum(({ claims }) => claims.compared),
      missedClaims: sum(({ claims }) => claims.missed),
      receipts: this.#receipts,
      rows: this.#rows,
    }
  }

  #openReceipts(): void {
    const { keys, receipts } = this.options
    for (const [name, text] of receipts) {
      const opened = openReceipt(text, keys)
      const audit = opened.kind === 'receipt' ? this.#shards[opened.event.shard] : undefined
      if (opened.kind === 'receipt' && audit) audit.keepReceipt(opened)
      else {
        const why = opened.kind === 'refused' ? opened.reason : 'there is no such shard'
        this.#report({ kind: 'receipt', at: name, message: `it does not hold: ${why}` })
      }
      this.#receipts++
    }
  }

  async #begin(): Promise<void> {
    const { source, keys, kept } = this.options
    for (const [shard, note] of kept) {
      const checked = checkHead(shard, note, keys)
      if (checked.kind === 'finding') continue
      const { size, root } = checked.head
      this.#shards[shard]?.keep({ size, root, whose: 'the head kept from before', kind: 'fork' })
    }
    if (source.pages === null || source.events === null) return
    const pages = await Pages.read(source.pages, source.shards, this.#report)
    this.#pages = pages
    for (const audit of this.#shards) {
      pages.collect(audit.shard, audit.fold)
      audit.onFolded = (fold) => pages.collect(audit.shard, fold)
    }
  }

  /** The newest head of a shard, consistent with the one before, and large enough for the pages. */
  async #readHead(shard: number): Promise<void> {
    const shown = this.#isFirst ? (this.#pages?.sizeOf(shard) ?? 0) : 0
    const wanted = Math.max(shown, this.#shards[shard]!.keptSize)
    const before = this.#heads.get(shard) ?? this.#keptHead(shard)
    const end = performance.now() + GROW_MS.most
    for (;;) {
      const outcome = await this.#lookAtHead(shard, before)
      const isShort = outcome.kind === 'head' && outcome.head.size < wanted
      const isBehind = outcome.kind === 'finding' && outcome.finding.kind === 'rolled_back'
      // Another instance may be behind for a moment, and a page ahead of the head.
      if ((isShort || isBehind) && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, GROW_MS.look))
        continue
      }
      if (outcome.kind === 'finding') {
        this.#heads.delete(shard)
        this.#report(outcome.finding)
      } else {
        this.#heads.set(shard, outcome.head)
        if (isShort) this.#reportShort(shard, outcome.head.size, shown)
      }
      return
    }
  }

  async #lookAtHead(shard: number, before: SignedTreeHead | null) {
    const { source, keys } = this.options
    const note = await source.readHead(shard)
    if (note === null) throw new SourceError(`Shard ${shard} has no signed tree head`)
    const checked = checkHead(shard, note, keys)
    if (checked.kind === 'finding' || before === null || source.published === null) return checked
    const { published } = source
    const read = (tiles: Parameters<typeof published.readTiles>[1]) =>
      published.readTiles(shard, tiles)
    const finding = await compareHeads(shard, before, checked.head, read)
    return finding === null ? checked : { kind: 'finding' as const, finding }
  }

  #keptHead(shard: number): SignedTreeHead | null {
    const note = this.options.kept.get(shard)
    if (note === undefined) return null
    const checked = checkHead(shard, note, this.options.keys)
    return checked.kind === 'head' ? checked.head : null
  }

  async #walk(audit: ShardAudit): Promise<void> {
    const head = this.#heads.get(audit.shard)
    if (!head) return
    await audit.advance(head, (size) => this.options.onProgress(size, head.size))
  }

  /** Where a shard was not gone through to its end the sums can't be right, and it was said why. */
  #comparePages(pages: Pages): number {
    const isWhole = this.#shards.every((audit) => audit.size >= pages.sizeOf(audit.shard))
    return isWhole ? pages.compare() : 0
  }

  #reportShort(shard: number, size: number, shown: number): void {
    const at = `shard ${shard}`
    const { keptSize } = this.#shards[shard]!
    if (size < keptSize) {
      const message = `its tree has ${size} events, and one of ${keptSize} was signed: they are lost`
      this.#report({ kind: 'rolled_back', at, message })
    }
    if (size < shown) {
      const message = `pages show ${shown} events, and its tree head covers ${size} only`
      this.#report({ kind: 'total', at, message })
    }
  }
}

/** The verifier keys among texts. */
export function parseKeys(texts: readonly string[]): VerifierKey[] {
  return texts.map(parseVerifierKey).filter((key) => key !== null)
}
