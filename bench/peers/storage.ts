import type { ApiKeyEntries } from '../../src/events/api-key-flush.ts'

/** Storage of a peer; `append` resolves when the flush is durable. */
export type Storage = { append(entries: ApiKeyEntries): Promise<void> }
