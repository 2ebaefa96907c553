import type { ShardsChange } from '../../events/statement.ts'
import { Frontier } from '../merkle/frontier.ts'
import type { Hash } from '../merkle/hash.ts'
import type { VerifierKey } from '../merkle/key.ts'
import { parseNote } from '../merkle/note.ts'
import { openTreeHead, parseTreeHead, type SignedTreeHead } from '../merkle/tree-head.ts'
import type { OnFinding } from './finding.ts'
import type { ReshardedSource } from './sources/source.ts'
import { type TrustedRoot, TrustedRoots } from './trusted-roots.ts'

export type ReshardedOptions = {
  source: ReshardedSource
  /** Shards of the log. */
  shards: number
  keys: readonly VerifierKey[]
  onFinding: OnFinding
  onNote: (message: string) => void
}

/**
 * The archive that a log was dealt from to another number of shards. Whoever has it makes the
 * begin of each new shard again, so that a root of it is all that the log has to have; and whatever
 * was signed of the old log has to hold in the archive.
 */
export class ReshardedArchive {
  /** Events of the archive that were dealt, once it was read. */
  events = 0
  /** The begin of each shard of the log. */
  readonly #trees: Frontier[]
  readonly #old: { tree: Frontier; roots: TrustedRoots }[]
  /** The notes of its signed heads, by shard, and the origins that they are of. */
  readonly #notes = new Map<number, string>()
  readonly #origins = new Set<string>()
  /** Shards of the log that say from what they were dealt. */
  readonly #told = new Set<number>()

  constructor(private readonly options: ReshardedOptions) {
    const { source, shards, onFinding } = options
    this.#trees = Array.from({ length: shards }, () => new Frontier())
    this.#old = Array.from({ length: source.shards }, () => ({
      tree: new Frontier(),
      roots: new TrustedRoots(onFinding),
    }))
  }

  /** Opens its signed heads with the keys that are trusted. */
  async open(): Promise<void> {
    const { source, keys, onFinding, onNote } = this.options
    for (let shard = 0; shard < source.shards; shard++) {
      const note = await source.readHead(shard)
      if (note === null) continue
      this.#notes.set(shard, note)
      const at = `archive, shard ${shard}`
      const head = parseTreeHead(parseNote(note)?.text ?? '')
      if (head === null) {
        onFinding({ kind: 'archive', at, message: 'its tree head is none' })
        continue
      }
      this.#origins.add(head.origin)
      const opened = openTreeHead(note, keys)
      if (opened.kind === 'refused') {
        onNote(`The archive's tree head of ${head.origin} is nobody's word: ${opened.reason}`)
      }
      const whose = "the archive's own tree head"
      this.keep(shard, { ...head, whose, kind: 'archive', at })
    }
    if (this.#notes.size === 0) onNote('The archive is not signed: nobody vouches for its events')
  }

  /** True of a head of the log that the archive is of. */
  isOf({ origin }: SignedTreeHead): boolean {
    return this.#origins.has(origin)
  }

  /**
   * Takes a root that somebody has of that log: its events have to make it. Why they can't, null
   * where they can.
   */
  keep(shard: number, root: TrustedRoot): string | null {
    const old = this.#old[shard]
    if (!old) return 'the archive has no such shard'
    old.roots.add(root)
    return null
  }

  /** Goes through the archive, once, and deals its events. */
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

  /** What a shard of the log has to begin with. */
  rootOf(shard: number): { size: number; root: Hash } {
    const tree = this.#trees[shard]!
    return { size: tree.size, root: tree.root() }
  }

  /** The log says, in the event at a position, from what a shard of it was dealt. */
  confirm(shard: number, position: number, change: ShardsChange): void {
    this.#told.add(shard)
    const { shards } = this.options
    const size = this.#trees[shard]!.size
    if (position !== size) {
      this.#find(shard, `it says at ${position} from what it was dealt, which ends at ${size}`)
    }
    const own = [...this.#notes].filter(([old]) => old % shards === shard)
    const linked = own.sort(([a], [b]) => a - b).map(([, note]) => note)
    const { previous, archive } = change
    const isLinked =
      previous.length === linked.length && previous.every((one, i) => one === linked[i])
    if (!isLinked) this.#find(shard, 'it cites other tree heads than the archive has')
    if (change.shards !== shards || archive.shards !== this.#old.length) {
      this.#find(shard, `it says that it was dealt from ${archive.shards} to ${change.shards}`)
    }
  }

  /** The events of a shard were gone through. */
  end(shard: number): void {
    if (this.#told.has(shard)) return
    this.#find(shard, 'no event in it says that it was dealt from an archive')
  }

  #find(shard: number, message: string): void {
    this.options.onFinding({ kind: 'archive', at: `shard ${shard}`, message })
  }
}

function compareTree({ tree, roots }: { tree: Frontier; roots: TrustedRoots }): void {
  roots.compare(tree, tree)
}

/** What the log says of an archive that the auditor doesn't have. */
export function describeChange(at: string, { archive, previous, shards }: ShardsChange): string {
  const heads = previous.map((note) => parseTreeHead(parseNote(note)?.text ?? ''))
  const linked = heads.flatMap((head) => (head ? [`${head.origin} up to ${head.size} events`] : []))
  const signed = linked.length === 0 ? '' : `, signed as ${linked.join(', as ')}`
  return (
    `${at} says that what is before it was dealt to ${shards} shard(s) from an archive of ` +
    `${archive.shards} with ${archive.events} events${signed}; who has it can prove that`
  )
}
