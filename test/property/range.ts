import type { Rows } from './books.ts'
import type { CatalogPut, Named } from './naive-catalog.ts'

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

  /** Has characters that a path and JSON escape. */
  readonly externalId = (small: string): string => `gw/${this.base} "ü%2F" ${small}`

  readonly idempotencyKey = (number: number): string => `${this.base}-${number}`

  /** Dimensions and measures stay: all runs share them. */
  moveCatalog({ provider_groups, api_keys, keys, ...declared }: CatalogPut): CatalogPut {
    const { id, hash } = this
    return {
      ...declared,
      ...(provider_groups && {
        provider_groups: provider_groups.map((row) => ({ ...row, ...this.#moveNames(row) })),
      }),
      ...(api_keys && {
        api_keys: api_keys.map(({ group_id, ...row }) => ({
          ...row,
          ...this.#moveNames(row),
          ...(group_id === undefined ? {} : { group_id: group_id === null ? null : id(group_id) }),
        })),
      }),
      ...(keys && { keys: keys.map((row) => ({ ...row, token_hash: hash(row.token_hash) })) }),
    }
  }

  #moveNames({ id, external_id }: Named): Named {
    return {
      ...(id === undefined ? {} : { id: this.id(id) }),
      ...(external_id ? { external_id: this.externalId(external_id) } : {}),
    }
  }

  moveRows({ provider_groups, api_keys, keys }: Rows): Rows {
    return {
      provider_groups: provider_groups.map((row) => ({ ...row, id: this.id(row.id) })),
      api_keys: api_keys.map((row) => ({ ...row, id: this.id(row.id) })),
      keys: keys.map((row) => ({ ...row, token_hash: this.hash(row.token_hash) })),
    }
  }

  /** Returns the text of a flush's body; `ageS` is how long ago it was counted, if it says so. */
  moveFlush(entries: (object | null)[], ageS: number | null = null): string {
    const time = ageS === null ? {} : { counted_at: Math.floor(Date.now() / 1_000) - ageS }
    return JSON.stringify({ ...time, keys: entries }, (name, value) => {
      if (name === 'api_key_id') return value && this.id(value)
      if (name === 'api_key') return /^x/.test(value) ? ` ${this.externalId(value)}` : value
      if (name === 'token_hash') return /^\d/.test(value) ? this.hash(value) : value
      return value
    })
  }
}
