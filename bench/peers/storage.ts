import type { ApiKeyEntries } from '../../src/events/api-key-flush.ts'

/** How a peer stores a flush: durable when it resolves. */
export type Storage = { append(entries: ApiKeyEntries): Promise<void> }
