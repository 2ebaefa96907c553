import type { VerifierKey } from '../merkle/key.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import type { FindingKind, OnFinding } from './finding.ts'
import { checkHead } from './heads.ts'
import { openReceipt, type Receipt } from './receipt.ts'
import type { ReshardedArchive } from './resharded.ts'
import type { ShardAudit } from './shard-audit.ts'

/** The trust and evidence that an auditor supplies. */
export type EvidenceOptions = {
  /** Keys trusted beforehand, for every shard. */
  keys: readonly VerifierKey[]
  /** The heads verified by the previous audit, by shard: notes. */
  kept: ReadonlyMap<number, string>
  /** Texts of `.tlog-proof` files, by name. */
  receipts: ReadonlyMap<string, string>
  onFinding: OnFinding
}

/**
 * Evidence supplied by the auditor: previously verified heads, receipts, and optionally the archive
 * from which the log was resharded. Each item is checked against its shard or the archive.
 */
export class Evidence {
  /** Previously verified heads of this log, by shard. */
  readonly previousHeads = new Map<number, SignedTreeHead>()
  /** Shards of this log that had a head before, even if that head could not be opened. */
  readonly shards = new Set<number>()
  /** Receipts of this log. */
  readonly receipts: { name: string; receipt: Receipt }[] = []

  constructor(
    private readonly options: EvidenceOptions,
    private readonly resharded: ReshardedArchive | null,
    private readonly audits: readonly ShardAudit[],
  ) {}

  /** Opens all evidence and reads the archive. Must be called once, before the walk. */
  async open(): Promise<void> {
    const { keys, kept, receipts } = this.options
    await this.resharded?.open()
    for (const [shard, note] of kept) this.#addHead(shard, note)
    for (const [name, text] of receipts) {
      const opened = openReceipt(text, keys)
      const why = opened.kind === 'refused' ? opened.reason : this.#addReceipt(name, opened)
      if (why !== null) this.#find('receipt', name, `the receipt is invalid: ${why}`)
    }
    await this.#readResharded()
  }

  /** Returns how many events a shard's head must cover for the receipts. */
  sizeOf(shard: number): number {
    const receipts = this.receipts.filter(({ receipt }) => receipt.event.shard === shard)
    return Math.max(0, ...receipts.map(({ receipt }) => receipt.head.size))
  }

  #addHead(shard: number, note: string): void {
    const at = `shard ${shard}`
    const checked = checkHead(shard, note, this.options.keys)
    if (checked.kind === 'finding') {
      this.shards.add(shard)
      const { message } = checked.finding
      this.#find('signature', at, `previously verified head: ${message}`)
      return
    }
    const { head } = checked
    const { size, root } = head
    const trusted = {
      size,
      root,
      whose: 'the previously verified head',
      kind: 'fork',
      at,
    } as const
    if (this.resharded?.isOf(head)) {
      const why = this.resharded.addRoot(shard, trusted)
      if (why !== null) this.#find('rolled_back', at, why)
      return
    }
    this.shards.add(shard)
    this.previousHeads.set(shard, head)
    this.audits[shard]?.roots.add(trusted)
  }

  /** Adds the position at which the log must have the event. Returns why it can't, or null. */
  #addReceipt(name: string, receipt: Receipt): string | null {
    const { event, head } = receipt
    if (this.resharded?.isOf(head)) {
      const { size, root } = head
      const whose = `the head of the receipt for ${event.shard}/${event.position}`
      return this.resharded.addRoot(event.shard, { size, root, whose, kind: 'receipt', at: name })
    }
    const audit = this.audits[event.shard]
    if (!audit) return `the log has no shard ${event.shard}`
    this.receipts.push({ name, receipt })
    audit.addReceipt(name, receipt)
    return null
  }

  /** Requires each shard to begin with the events that the archive resharded to it. */
  async #readResharded(): Promise<void> {
    if (this.resharded === null) return
    await this.resharded.read()
    for (const { shard, roots } of this.audits) {
      const whose = 'its part of the resharded archive'
      roots.add({ ...this.resharded.rootOf(shard), whose, kind: 'archive', at: `shard ${shard}` })
    }
  }

  #find(kind: FindingKind, at: string, message: string): void {
    this.options.onFinding({ kind, at, message })
  }
}
