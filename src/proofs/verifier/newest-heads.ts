import type { VerifierKey } from '../merkle/key.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import type { Evidence } from './evidence.ts'
import type { FindingKind, OnFinding } from './finding.ts'
import { checkHead, compareHeads, noTiles } from './heads.ts'
import type { ReshardedArchive } from './resharded.ts'
import { type LogSource, SourceError } from './sources/source.ts'

/** Poll interval (ms) for a tree head that must grow, and how long to wait for it. */
const POLL_INTERVAL_MS = 500
const GROW_MS = 15_000

/** The source of the heads, and the keys and limits they are checked with. */
export type NewestHeadsOptions = {
  source: LogSource
  keys: readonly VerifierKey[]
  headsOnly: boolean
  /** How long (ms) a head may be behind what was seen elsewhere; 15 s if absent. */
  growMs?: number
  onFinding: OnFinding
}

/** The newest verified head of each shard, without heads that have a finding. */
export class NewestHeads {
  readonly #heads = new Map<number, SignedTreeHead>()

  constructor(
    private readonly options: NewestHeadsOptions,
    private readonly evidence: Evidence,
    private readonly resharded: ReshardedArchive | null,
  ) {}

  get(shard: number): SignedTreeHead | undefined {
    return this.#heads.get(shard)
  }

  toMap(): Map<number, SignedTreeHead> {
    return new Map(this.#heads)
  }

  /**
   * Reads the newest head of a shard, which must be consistent with the previous one. Polls a
   * running service for up to `growMs` while its head covers fewer than `minSize` events or is
   * older than the previous one.
   */
  async read(shard: number, minSize: number): Promise<void> {
    const before = this.#heads.get(shard) ?? this.evidence.previousHeads.get(shard) ?? null
    const { source, growMs = GROW_MS } = this.options
    const end = performance.now() + (source.sizes === null ? growMs : 0)
    for (;;) {
      const outcome = await this.#pollHead(shard, before)
      if (outcome === null) return
      const isShort = outcome.kind === 'head' && outcome.head.size < minSize
      const isBehind = outcome.kind === 'finding' && outcome.finding.kind === 'rolled_back'
      // Another instance may be briefly behind, and a page briefly ahead of the head.
      if ((isShort || isBehind) && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, Math.min(POLL_INTERVAL_MS, growMs)))
        continue
      }
      if (outcome.kind === 'head') this.#heads.set(shard, outcome.head)
      else {
        this.#heads.delete(shard)
        this.options.onFinding(outcome.finding)
      }
      return
    }
  }

  /** Returns null if there is no head and none is expected. */
  async #pollHead(shard: number, before: SignedTreeHead | null) {
    const { source, keys, headsOnly } = this.options
    const note = await source.readHead(shard)
    if (note === null) return this.#checkUnsigned(shard)
    const checked = checkHead(shard, note, keys)
    if (checked.kind === 'finding' || before === null) return checked
    const { published } = source
    // The walk compares the roots when it reads the events.
    if (published === null && !headsOnly && checked.head.size > before.size) return checked
    const finding = await compareHeads(shard, before, checked.head, (tiles) =>
      published === null ? noTiles(tiles) : published.readTiles(shard, tiles),
    )
    return finding === null ? checked : { kind: 'finding' as const, finding }
  }

  /**
   * An archive without a head is accepted only if the auditor trusts no key and no head of the
   * shard.
   */
  #checkUnsigned(shard: number) {
    const { source, keys } = this.options
    if (source.sizes === null) throw new SourceError(`Shard ${shard} has no signed tree head`)
    const isSigned = keys.some(({ name }) => name.endsWith(`/audit/log/${shard}`))
    if (!isSigned && !this.evidence.previousHeads.has(shard)) return null
    const message = 'there is no signed tree head, although a key or head of this shard is trusted'
    const at = `shard ${shard}`
    return { kind: 'finding' as const, finding: { kind: 'signature' as const, at, message } }
  }

  /** Reports missing shards: those that had a head before, or for which a key is trusted. */
  checkShards(): void {
    const { keys, source } = this.options
    const { shards } = source
    const names = [...this.#heads].map(([shard, { origin }]) => origin.slice(0, -`${shard}`.length))
    const known = keys.flatMap(({ name }) => {
      const [, log, shard] = /^(.*\/audit\/log\/)(\d{1,9})$/.exec(name) ?? []
      return names.includes(log!) ? [Number(shard)] : []
    })
    for (const [shard, head] of this.resharded ? this.#heads : []) {
      if (!this.resharded!.isOf(head)) continue
      const message = `it is signed as ${head.origin}, like the archive it was resharded from`
      this.#find('archive', `shard ${shard}`, message)
    }
    for (const shard of new Set([...this.evidence.shards, ...known])) {
      if (shard >= 0 && shard < shards) continue
      const message = `the shard is missing: the log has only ${shards} shards`
      this.#find('rolled_back', `shard ${shard}`, message)
    }
  }

  #find(kind: FindingKind, at: string, message: string): void {
    this.options.onFinding({ kind, at, message })
  }
}
