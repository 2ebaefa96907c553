import type { Context } from '@opentelemetry/api'

/** Commits of a shard that are kept: those of the last seconds under full load. */
const MAX_COMMITS = 256

type Commit = { first: number; last: number; context: Context }

/** The newest recorded commits of each shard, by the positions of their events. */
export class RecentCommits {
  readonly #byShard = new Map<number, Commit[]>()

  add(shard: number, commit: Commit): void {
    const commits = this.#byShard.get(shard) ?? []
    this.#byShard.set(shard, commits)
    commits.push(commit)
    if (commits.length > MAX_COMMITS) commits.shift()
  }

  /** Returns the contexts of the commits with events after `after` and through `through`. */
  find(shard: number, after: number, through: number): Context[] {
    const commits = this.#byShard.get(shard) ?? []
    return commits
      .filter(({ first, last }) => last > after && first <= through && first <= last)
      .map(({ context }) => context)
  }
}
