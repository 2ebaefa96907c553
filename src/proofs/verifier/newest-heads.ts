import type { VerifierKey } from '../merkle/key.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import type { Evidence } from './evidence.ts'
import type { FindingKind, OnFinding } from './finding.ts'
import { checkHead, compareHeads, noTiles } from './heads.ts'
import type { ReshardedArchive } from './resharded.ts'
import { type LogSource, SourceError } from './sources/source.ts'

/** Milliseconds between two looks at a tree head that has to grow, and until it won't any more. */
const POLL_INTERVAL_MS = 500
const GROW_MS = 15_000

export type NewestHeadsOptions = {
  source: LogSource
  keys: readonly VerifierKey[]
  headsOnly: boolean
  /** How long a head may be behind what was seen elsewhere; 15 s if absent. */
  growMs?: number
  onFinding: OnFinding
}

/** The newest verified head of each shard; one with a finding about it is left out. */
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

  /** The newest head of a shard that continues the one before; waited for until it is so large. */
  async read(shard: number, wanted: number): Promise<void> {
    const before = this.#heads.get(shard) ?? this.evidence.kept.get(shard) ?? null
    const { source, growMs = GROW_MS } = this.options
    const end = performance.now() + (source.sizes === null ? growMs : 0)
    for (;;) {
      const outcome = await this.#lookAtHead(shard, before)
      if (outcome === null) return
      const isShort = outcome.kind === 'head' && outcome.head.size < wanted
      const isBehind = outcome.kind === 'finding' && outcome.finding.kind === 'rolled_back'
      // Another instance may be behind for a moment, and a page ahead of the head.
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
    if (!isSigned && !this.evidence.kept.has(shard)) return null
    const message = 'it has no signed tree head, though a trusted key is of it'
    const at = `shard ${shard}`
    return { kind: 'finding' as const, finding: { kind: 'signature' as const, at, message } }
  }

  /** Shards that were there before, or that a trusted key is of, have to be there. */
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
      const message = `it is signed as ${head.origin}, as the archive that it was dealt from`
      this.#find('archive', `shard ${shard}`, message)
    }
    for (const shard of new Set([...this.evidence.shards, ...known])) {
      if (shard >= 0 && shard < shards) continue
      const message = `it is not there, and the log has ${shards} shards only`
      this.#find('rolled_back', `shard ${shard}`, message)
    }
  }

  #find(kind: FindingKind, at: string, message: string): void {
    this.options.onFinding({ kind, at, message })
  }
}
