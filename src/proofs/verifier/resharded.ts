import type { ShardsChange } from '../../events/statement.ts'
import { Frontier } from '../merkle/frontier.ts'
import type { Hash } from '../merkle/hash.ts'
import type { VerifierKey } from '../merkle/key.ts'
import { parseNote } from '../merkle/note.ts'
import { openTreeHead, parseTreeHead, type SignedTreeHead } from '../merkle/tree-head.ts'
import type { OnFinding } from './finding.ts'
import type { ReshardedSource } from './sources/source.ts'
import { type TrustedRoot, TrustedRoots } from './trusted-roots.ts'

/** The archive, and the log that was resharded from it. */
export type ReshardedOptions = {
  source: ReshardedSource
  /** Shards of the log. */
  shards: number
  keys: readonly VerifierKey[]
  onFinding: OnFinding
  onNote: (message: string) => void
}

/**
 * The archive from which a log was resharded. The start of each new shard follows from the archive,
 * so the log must have that root. Everything that was signed of the old log must match the archive.
 */
export class ReshardedArchive {
  /** Events of the archive that were resharded. Set by `read`. */
  events = 0
  /** The tree of resharded events with which each shard of the log must begin. */
  readonly #trees: Frontier[]
  readonly #old: { tree: Frontier; roots: TrustedRoots }[]
  /** The notes of its signed heads by shard, and their origins. */
  readonly #notes = new Map<number, string>()
  readonly #origins = new Set<string>()
  /** Shards of the log whose `ShardsChanged` event was found. */
  readonly #confirmed = new Set<number>()

  constructor(private readonly options: ReshardedOptions) {
    const { source, shards, onFinding } = options
    this.#trees = Array.from({ length: shards }, () => new Frontier())
    this.#old = Array.from({ length: source.shards }, () => ({
      tree: new Frontier(),
      roots: new TrustedRoots(onFinding),
    }))
  }

  /** Opens its signed heads with the trusted keys. */
  async open(): Promise<void> {
    const { source, keys, onFinding, onNote } = this.options
    for (let shard = 0; shard < source.shards; shard++) {
      const note = await source.readHead(shard)
      if (note === null) continue
      this.#notes.set(shard, note)
      const at = `archive, shard ${shard}`
      const head = parseTreeHead(parseNote(note)?.text ?? '')
      if (head === null) {
        onFinding({ kind: 'archive', at, message: 'the tree head is invalid' })
        continue
      }
      this.#origins.add(head.origin)
      const opened = openTreeHead(note, keys)
      if (opened.kind === 'refused') {
        onNote(`The archive's tree head of ${head.origin} is not trusted: ${opened.reason}`)
      }
      const whose = "the archive's own tree head"
      this.addRoot(shard, { ...head, whose, kind: 'archive', at })
    }
    if (this.#notes.size === 0)
      onNote('The archive is not signed: its events may have been forged as a whole')
  }

  /** True if a head belongs to the log of the archive. */
  isOf({ origin }: SignedTreeHead): boolean {
    return this.#origins.has(origin)
  }

  /** Adds a root that the archive's events must have. Returns why they can't, or null. */
  addRoot(shard: number, root: TrustedRoot): string | null {
    const old = this.#old[shard]
    if (!old) return `the archive has no shard ${shard}`
    old.roots.add(root)
    return null
  }

  /** Reads the archive once and reshards its events. */
  async read(): Promise<void> {
    this.#old.forEach(compareTree)
    for await (const events of this.options.source.readResharded(this.options.shards)) {
      for (const { from, to } of events) {
        const old = this.#old[from.shard]
        if (!old) continue
        old.tree.append(from.leafHash)
        compareTree(old)
        if (to === null) continue
        this.#trees[to.shard]!.append(to.leafHash)
        this.events++
      }
    }
    for (const { tree, roots } of this.#old) roots.end(tree.size)
  }

  /** Returns the tree with which a shard of the log must begin. */
  rootOf(shard: number): { size: number; root: Hash } {
    const tree = this.#trees[shard]!
    return { size: tree.size, root: tree.root() }
  }

  /** Checks the `ShardsChanged` event of a shard against the archive. */
  confirm(shard: number, position: number, change: ShardsChange, version: number): void {
    this.#confirmed.add(shard)
    const { shards, source } = this.options
    const size = this.#trees[shard]!.size
    if (position !== size) {
      this.#find(shard, `its ShardsChanged event is at position ${position}, not ${size}`)
    }
    const own = [...this.#notes].filter(([old]) => old % shards === shard)
    const linked = own.sort(([a], [b]) => a - b).map(([, note]) => note)
    const { previous, archive } = change
    const isLinked =
      previous.length === linked.length && previous.every((one, i) => one === linked[i])
    if (!isLinked) this.#find(shard, 'it links other tree heads than the archive has')
    if (change.shards !== shards || archive.shards !== this.#old.length) {
      this.#find(shard, `it states resharding from ${archive.shards} to ${change.shards}`)
    }
    // Version 1 had no list.
    const reversals = shard === 0 && version > 1 ? source.listReversals() : []
    if (JSON.stringify(change.reversals ?? []) !== JSON.stringify(reversals)) {
      this.#find(shard, 'it lists other places of reversed events than they have')
    }
  }

  /** Reports a shard without a `ShardsChanged` event, once its events have been walked. */
  end(shard: number): void {
    if (this.#confirmed.has(shard)) return
    this.#find(shard, 'it has no ShardsChanged event')
  }

  #find(shard: number, message: string): void {
    this.options.onFinding({ kind: 'archive', at: `shard ${shard}`, message })
  }
}

function compareTree({ tree, roots }: { tree: Frontier; roots: TrustedRoots }): void {
  roots.compare(tree, tree)
}

/** Describes what the log states about an archive that the auditor doesn't have. */
export function describeChange(at: string, { archive, previous, shards }: ShardsChange): string {
  const heads = previous.map((note) => parseTreeHead(parseNote(note)?.text ?? ''))
  const linked = heads.flatMap((head) => (head ? [`${head.origin} up to ${head.size} events`] : []))
  const signed = linked.length === 0 ? '' : `, signed as ${linked.join(', as ')}`
  return (
    `${at} states that the events before it were resharded to ${shards} shard(s) from an archive ` +
    `of ${archive.shards} with ${archive.events} events${signed}; that archive can prove it`
  )
}
