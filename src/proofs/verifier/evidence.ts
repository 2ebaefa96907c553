import type { VerifierKey } from '../merkle/key.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import type { FindingKind, OnFinding } from './finding.ts'
import { checkHead } from './heads.ts'
import { openReceipt, type Receipt } from './receipt.ts'
import type { ReshardedArchive } from './resharded.ts'
import type { ShardAudit } from './shard-audit.ts'

export type EvidenceOptions = {
  /** Those that are trusted for each shard, by what is known beforehand. */
  keys: readonly VerifierKey[]
  /** The heads that were verified last time, by shard: notes. */
  kept: ReadonlyMap<number, string>
  /** Texts of `.tlog-proof` files, by name. */
  receipts: ReadonlyMap<string, string>
  onFinding: OnFinding
}

/**
 * What an auditor has brought along: heads that were kept, receipts, and the archive that the log
 * was dealt from. Each is held against the shard that it is of, or against the archive.
 */
export class Evidence {
  /** Kept heads of this log, by shard. */
  readonly kept = new Map<number, SignedTreeHead>()
  /** Shards of this log that a kept head is of, whether that could be opened or not. */
  readonly shards = new Set<number>()
  /** Receipts of this log. */
  readonly receipts: { name: string; receipt: Receipt }[] = []

  constructor(
    private readonly options: EvidenceOptions,
    private readonly resharded: ReshardedArchive | null,
    private readonly audits: readonly ShardAudit[],
  ) {}

  async open(): Promise<void> {
    const { keys, kept, receipts } = this.options
    await this.resharded?.open()
    for (const [shard, note] of kept) this.#keepHead(shard, note)
    for (const [name, text] of receipts) {
      const opened = openReceipt(text, keys)
      const why = opened.kind === 'refused' ? opened.reason : this.#keepReceipt(name, opened)
      if (why !== null) this.#find('receipt', name, `it does not hold: ${why}`)
    }
    await this.#readResharded()
  }

  /** Events of a shard that its head has to cover, for the receipts. */
  sizeOf(shard: number): number {
    const of = this.receipts.filter(({ receipt }) => receipt.event.shard === shard)
    return Math.max(0, ...of.map(({ receipt }) => receipt.head.size))
  }

  #keepHead(shard: number, note: string): void {
    const at = `shard ${shard}`
    const checked = checkHead(shard, note, this.options.keys)
    if (checked.kind === 'finding') {
      this.shards.add(shard)
      const { message } = checked.finding
      this.#find('signature', at, `of the head kept from before: ${message}`)
      return
    }
    const { head } = checked
    const { size, root } = head
    const kept = { size, root, whose: 'the head kept from before', kind: 'fork', at } as const
    if (this.resharded?.isOf(head)) {
      const why = this.resharded.keep(shard, kept)
      if (why !== null) this.#find('rolled_back', at, why)
      return
    }
    this.shards.add(shard)
    this.kept.set(shard, head)
    this.audits[shard]?.roots.add(kept)
  }

  /** Where the log has to have its event; why it can't, null where it can. */
  #keepReceipt(name: string, receipt: Receipt): string | null {
    const { event, head } = receipt
    if (this.resharded?.isOf(head)) {
      const { size, root } = head
      const whose = `the head of the receipt for ${event.shard}/${event.position}`
      return this.resharded.keep(event.shard, { size, root, whose, kind: 'receipt', at: name })
    }
    const audit = this.audits[event.shard]
    if (!audit) return 'there is no such shard'
    this.receipts.push({ name, receipt })
    audit.keepReceipt(name, receipt)
    return null
  }

  /** Each shard has to begin with what of the archive was dealt to it. */
  async #readResharded(): Promise<void> {
    if (this.resharded === null) return
    await this.resharded.read()
    for (const { shard, roots } of this.audits) {
      const whose = 'what was dealt to it of the archive'
      roots.add({ ...this.resharded.rootOf(shard), whose, kind: 'archive', at: `shard ${shard}` })
    }
  }

  #find(kind: FindingKind, at: string, message: string): void {
    this.options.onFinding({ kind, at, message })
  }
}
