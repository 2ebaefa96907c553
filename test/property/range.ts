import type { Rows } from './books.ts'
import type { CatalogPut } from './naive-catalog.ts'

/** Moves the small ids of one run to a range of its own, because runs share a service. */
export class Range {
  /** Above every id of the run before. */
  readonly base: number

  constructor(run: number) {
    this.base = run * 100
  }

  /** 0 is not an id, and stays. */
  readonly id = (small: number): number => (small === 0 ? 0 : this.base + small)

  readonly hash = (small: string | number): string =>
    `hash-${String(this.base).padStart(9, '0')}-${small}`

  readonly idempotencyKey = (number: number): string => `${this.base}-${number}`

  moveCatalog({ provider_groups, api_keys, keys }: CatalogPut): CatalogPut {
    const { id, hash } = this
    return {
      ...(provider_groups && {
        provider_groups: provider_groups.map((row) => ({ ...row, id: id(row.id) })),
      }),
      ...(api_keys && {
        api_keys: api_keys.map(({ group_id, ...row }) => ({
          ...row,
          id: id(row.id),
          ...(group_id === undefined ? {} : { group_id: group_id === null ? null : id(group_id) }),
        })),
      }),
      ...(keys && { keys: keys.map((row) => ({ ...row, token_hash: hash(row.token_hash) })) }),
    }
  }

  moveRows({ provider_groups, api_keys, keys }: Rows): Rows {
    return {
      provider_groups: provider_groups.map((row) => ({ ...row, id: this.id(row.id) })),
      api_keys: api_keys.map((row) => ({ ...row, id: this.id(row.id) })),
      keys: keys.map((row) => ({ ...row, token_hash: this.hash(row.token_hash) })),
    }
  }

  /** Returns the text of a flush's body. */
  moveFlush(entries: (object | null)[]): string {
    return JSON.stringify({ keys: entries }, (name, value) => {
      if (name === 'api_key_id') return value && this.id(value)
      if (name === 'token_hash') return /^\d/.test(value) ? this.hash(value) : value
      return value
    })
  }
}
