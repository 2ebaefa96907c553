import { hashLeaf, toLeaf } from '../../src/events/leaf.ts'
import { readLeafEvents } from '../../src/log/read.ts'
import type { Sql } from '../../src/platform/postgres/pool.ts'
import { Frontier } from '../../src/proofs/merkle/frontier.ts'
import { equalHashes, type Hash } from '../../src/proofs/merkle/hash.ts'
import { parseNote } from '../../src/proofs/merkle/note.ts'
import { proveConsistency } from '../../src/proofs/merkle/prove.ts'
import { parseTreeHead, type TreeHead } from '../../src/proofs/merkle/tree-head.ts'
import { isConsistent } from '../../src/proofs/merkle/verify-proof.ts'
import { tilesOf } from '../support/tree.ts'
import type { History } from './history.ts'
import { readCheckpoint, type Traffic } from './traffic.ts'

/** Collects and checks every published tree head, by shard and size. */
export class SeenHeads {
  readonly #byShard: Map<number, TreeHead>[]

  constructor(
    shards: number,
    private readonly history: History,
  ) {
    this.#byShard = Array.from({ length: shards }, () => new Map())
  }

  get count(): number {
    return this.#byShard.reduce((sum, { size }) => sum + size, 0)
  }

  /** Reads heads from any instance, many times more often than they are signed. */
  async watch(traffic: Traffic): Promise<void> {
    while (!traffic.isOver()) {
      await Bun.sleep(traffic.random.below(60))
      const shard = traffic.random.below(this.#byShard.length)
      const note = await readCheckpoint(traffic, shard)
      if (note !== null) this.#add(shard, note)
    }
  }

  #add(shard: number, text: string): void {
    const head = parseTreeHead(parseNote(text)?.text ?? '')
    if (head === null) {
      this.history.violate(`not a tree head: ${text}`)
      return
    }
    const known = this.#byShard[shard]!.get(head.size)
    if (known && !equalHashes(known.root, head.root)) {
      this.history.violate(`two trees of ${head.size} in shard ${shard}`)
    }
    this.#byShard[shard]!.set(head.size, head)
  }

  /** Checks that all published heads match the log, and that any two are consistent. */
  async check(owner: Sql): Promise<void> {
    for (const [shard, heads] of this.#byShard.entries()) {
      const leaves: Hash[] = (await readLeafEvents(owner, shard, 0, 2 ** 31)).map((event) =>
        hashLeaf(toLeaf(event)),
      )
      const frontier = new Frontier()
      const roots = [frontier.root()]
      for (const leaf of leaves) {
        frontier.append(leaf)
        roots.push(frontier.root())
      }
      for (const { size, root } of heads.values()) {
        const made = roots[size]
        if (made && equalHashes(made, root)) continue
        this.history.violate(`the tree head of ${size} in shard ${shard} is not of this log`)
      }
      await this.#checkPairs(shard, leaves)
    }
  }

  async #checkPairs(shard: number, leaves: Hash[]): Promise<void> {
    const heads = [...this.#byShard[shard]!.values()].sort((a, b) => a.size - b.size)
    const read = tilesOf(leaves)
    for (const [i, newer] of heads.entries()) {
      for (const older of heads.slice(0, i)) {
        const proof = await proveConsistency(older.size, newer.size, read)
        if (isConsistent(older, newer, proof)) continue
        this.history.violate(`${older.size} and ${newer.size} of shard ${shard} are inconsistent`)
      }
    }
  }
}
