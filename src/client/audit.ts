import { parseVerifierKey, type VerifierKey } from '../merkle/key.ts'
import type { SignedTreeHead, TreeHead } from '../merkle/tree-head.ts'
import { Brought, type BroughtOptions } from './brought.ts'
import { DealtArchive } from './dealt.ts'
import type { Finding, FindingKind, Report } from './finding.ts'
import { checkHead, compareHeads, noTiles } from './heads.ts'
import { Pages } from './pages.ts'
import { ShardAudit } from './shard-audit.ts'
import { type DealtSource, type LogSource, SourceError } from './source.ts'

/** Milliseconds between two looks at a tree head that has to grow, and until it won't any more. */
const LOOK_MS = 500
const GROW_MS = 15_000

export type AuditOptions = BroughtOptions & {
  source: LogSource
  /** The archive that the log was dealt from, where it has to be that; none if absent. */
  dealt?: DealtSource | undefined
  /** Heads and their consistency only, and that receipts are in them. */
  headsOnly: boolean
  /** How long a head may be behind what was seen elsewhere; 15 s if absent. */
  growMs?: number
  onProgress: (events: number, total: number) => void
}

/** What was gone through. */
export type AuditReport = {
  /** Verified heads, by shard; a shard with a finding about its head is left out. */
  heads: Map<number, SignedTreeHead>
  /** Leaves that were gone through, and events whose payload was: none where none can be read. */
  leaves: number
  events: number
  /** Events of an archive that no head covers: they were held against themselves only. */
  unsigned: number
  /** Digests and totals of attestations that were compared. */
  claims: number
  missedClaims: number
  receipts: number
  /** Events of the archive that were dealt, and held against where they stand. */
  dealt: number
  /** Rows of pages that were compared. */
  rows: number
  /**
   * When the newest event was recorded, RFC 3339: all that says how old the log is that was shown.
   * null where no event was gone through.
   */
  newestAt: string | null
  /** What an auditor should know that is no finding. */
  notes: string[]
}

/** An audit that goes on: each `run` verifies what is new since the one before. */
export class Audit {
  readonly #heads = new Map<number, SignedTreeHead>()
  readonly #shards: ShardAudit[]
  readonly #dealt: DealtArchive | null
  readonly #brought: Brought
  readonly #notes: string[] = []
  readonly #report: Report
  #pages: Pages | null = null
  #rows = 0
  #isFirst = true

  constructor(private readonly options: AuditOptions) {
    const { source, keys, onFinding } = options
    const { shards } = source
    this.#report = onFinding
    const told = { keys, onFinding, onNote: (message: string) => void this.#notes.push(message) }
    const dealt = options.dealt && new DealtArchive({ source: options.dealt, shards, ...told })
    this.#dealt = dealt ?? null
    this.#shards = Array.from(
      { length: shards },
      (_, shard) => new ShardAudit({ source, shard, dealt: dealt ?? null, ...told }),
    )
    this.#brought = new Brought(options, this.#dealt, this.#shards)
  }

  /** Throws SourceError where the log can't be read on. */
  async run(): Promise<AuditReport> {
    const { headsOnly, source } = this.options
    if (this.#isFirst) await this.#brought.open()
    for (const { shard } of this.#shards)
      await this.#readHead(shard, this.#isFirst ? this.#brought.sizeOf(shard) : 0)
    if (this.#isFirst) this.#checkShards()
    if (headsOnly) await this.#proveHeads()
    else {
      if (this.#isFirst) await this.#readPages()
      for (const audit of this.#shards) await this.#walk(audit)
      if (this.#isFirst && source.events !== null) {
        for (const { shard } of this.#shards) this.#dealt?.end(shard)
      }
      if (this.#isFirst && this.#pages) this.#rows = this.#comparePages(this.#pages)
    }
    this.#isFirst = false
    return this.#toReport()
  }

  /** Shards that were there before, or that a trusted key is of, have to be there. */
  #checkShards(): void {
    const names = [...this.#heads].map(([shard, { origin }]) => origin.slice(0, -`${shard}`.length))
    const known = this.options.keys.flatMap(({ name }) => {
      const [, log, shard] = /^(.*\/audit\/log\/)(\d{1,9})$/.exec(name) ?? []
      return names.includes(log!) ? [Number(shard)] : []
    })
    for (const [shard, head] of this.#dealt ? this.#heads : []) {
      if (!this.#dealt!.isOf(head)) continue
      const message = `it is signed as ${head.origin}, as the archive that it was dealt from`
      this.#find('archive', `shard ${shard}`, message)
    }
    for (const shard of new Set([...this.#brought.shards, ...known])) {
      if (this.#shards[shard]) continue
      const message = `it is not there, and the log has ${this.#shards.length} shards only`
      this.#find('rolled_back', `shard ${shard}`, message)
    }
  }

  /** Pages are asked for when heads were read: they have to reflect what those cover. */
  async #readPages(): Promise<void> {
    const { pages: source, events } = this.options.source
    if (source === null || events === null) return
    const signed = this.#shards.map(({ shard }) => (this.#heads.get(shard)?.size ?? 0) - 1)
    const pages = await Pages.read(source, signed, this.#report)
    this.#pages = pages
    for (const audit of this.#shards) {
      pages.collect(audit.shard, audit.fold)
      audit.onFolded = (fold) => pages.collect(audit.shard, fold)
      const wanted = pages.sizeOf(audit.shard)
      const head = this.#heads.get(audit.shard)
      if (!head || head.size >= wanted) continue
      await this.#readHead(audit.shard, wanted)
      const size = this.#heads.get(audit.shard)?.size
      if (size === undefined || size >= wanted) continue
      const message = `pages show ${wanted} events, and its tree head covers ${size} only`
      this.#find('total', `shard ${audit.shard}`, message)
    }
  }

  /** The newest head of a shard that continues the one before; waited for until it is so large. */
  async #readHead(shard: number, wanted: number): Promise<void> {
    const before = this.#heads.get(shard) ?? this.#brought.kept.get(shard) ?? null
    const { source, growMs = GROW_MS } = this.options
    const end = performance.now() + (source.sizes === null ? growMs : 0)
    for (;;) {
      const outcome = await this.#lookAtHead(shard, before)
      if (outcome === null) return
      const isShort = outcome.kind === 'head' && outcome.head.size < wanted
      const isBehind = outcome.kind === 'finding' && outcome.finding.kind === 'rolled_back'
      // Another instance may be behind for a moment, and a page ahead of the head.
      if ((isShort || isBehind) && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_MS, growMs)))
        continue
      }
      if (outcome.kind === 'head') this.#heads.set(shard, outcome.head)
      else {
        this.#heads.delete(shard)
        this.#report(outcome.finding)
      }
      return
    }
  }

  /** Null where there is none, and nobody expects one. */
  async #lookAtHead(shard: number, before: SignedTreeHead | null) {
    const { source, keys, headsOnly } = this.options
    const note = await source.readHead(shard)
    if (note === null) return this.#missHead(shard)
    const checked = checkHead(shard, note, keys)
    if (checked.kind === 'finding' || before === null) return checked
    const { published } = source
    // The walk compares the roots where it goes through the events anyway.
    if (published === null && !headsOnly && checked.head.size > before.size) return checked
    const finding = await compareHeads(shard, before, checked.head, (tiles) =>
      published === null ? noTiles(tiles) : published.readTiles(shard, tiles),
    )
    return finding === null ? checked : { kind: 'finding' as const, finding }
  }

  /** An archive of a log that nobody has signed is one that an auditor has no key of. */
  #missHead(shard: number) {
    const { source, keys } = this.options
    if (source.sizes === null) throw new SourceError(`Shard ${shard} has no signed tree head`)
    const isSigned = keys.some(({ name }) => name.endsWith(`/audit/log/${shard}`))
    if (!isSigned && !this.#brought.kept.has(shard)) return null
    const message = 'it has no signed tree head, though a trusted key is of it'
    const at = `shard ${shard}`
    return { kind: 'finding' as const, finding: { kind: 'signature' as const, at, message } }
  }

  async #walk(audit: ShardAudit): Promise<void> {
    const { source, onProgress } = this.options
    const head = this.#heads.get(audit.shard)
    // What is wrong with it was said.
    if (!head && source.sizes === null) return
    const size = Math.max(head?.size ?? 0, source.sizes?.[audit.shard] ?? 0)
    const onSize = (done: number) => onProgress(done, size)
    if (head) {
      await audit.advance(head, onSize)
      // Something was found there, behind which nothing can be made sense of.
      if (audit.size < head.size) return
    }
    if (source.sizes !== null && size > audit.size) await audit.advanceUnsigned(size, onSize)
    audit.roots.end(audit.size)
  }

  /** Where a shard could not be gone through to its end the sums can't be right, as was said. */
  #comparePages(pages: Pages): number {
    const isWhole = this.#shards.every((audit) => audit.size >= pages.sizeOf(audit.shard))
    return isWhole ? pages.compare() : 0
  }

  /** That the trees of receipts, and of what was dealt, are ones that the newest head continues. */
  async #proveHeads(): Promise<void> {
    if (!this.#isFirst) return
    for (const { name, receipt } of this.#brought.receipts) {
      const finding = await this.#proveHead(receipt.event.shard, receipt.head)
      if (finding) this.#find('receipt', name, `against the log: ${finding.message}`)
    }
    for (const { shard } of this.#dealt ? this.#shards : []) {
      const origin = this.#heads.get(shard)?.origin ?? ''
      const finding = await this.#proveHead(shard, { origin, ...this.#dealt!.rootOf(shard) })
      if (finding)
        this.#find('archive', `shard ${shard}`, `against what was dealt: ${finding.message}`)
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
    const sum = (of: (audit: ShardAudit) => number) =>
      this.#shards.reduce((total, audit) => total + of(audit), 0)
    const { source, receipts } = this.options
    const leaves = sum(({ size }) => size)
    return {
      heads: new Map(this.#heads),
      leaves,
      events: source.events === null ? 0 : leaves,
      unsigned: sum(({ shard, size }) => Math.max(0, size - (this.#heads.get(shard)?.size ?? 0))),
      claims: sum(({ claims }) => claims.compared),
      missedClaims: sum(({ claims }) => claims.missed),
      receipts: receipts.size,
      dealt: this.#dealt?.events ?? 0,
      rows: this.#rows,
      newestAt: this.#shards.map(({ newestAt }) => newestAt).reduce(newer, null),
      notes: [...this.#notes],
    }
  }

  #find(kind: FindingKind, at: string, message: string): void {
    this.#report({ kind, at, message })
  }
}

/** Of two times in the form that leaves have. */
const newer = (a: string | null, b: string) => (b !== '' && (a === null || b > a) ? b : a)

/** The verifier keys among texts. */
export function parseKeys(texts: readonly string[]): VerifierKey[] {
  return texts.map(parseVerifierKey).filter((key) => key !== null)
}
