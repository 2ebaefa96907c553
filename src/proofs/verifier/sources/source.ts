import type { Hash } from '../../merkle/hash.ts'
import type { Tile } from '../../merkle/tile.ts'
import type { UsageRange } from '../usage-range.ts'

/**
 * Where a log is read from. Nothing of what it gives is believed. Its methods throw SourceError
 * where something can't be read at all.
 */
export interface LogSource {
  readonly shards: number
  /**
   * How many events of each shard there are, where that is known without a tree head: an archive.
   * Null: the log is live, and goes as far as its heads say.
   */
  readonly sizes: readonly number[] | null
  /** Verifier keys as the operator names them, a text each. */
  readKeys(): Promise<string[]>
  /** The newest signed tree head of a shard, a note; null where there is none. */
  readHead(shard: number): Promise<string | null>
  /** Null: events can't be read here, only their leaves. */
  readonly events: EventSource | null
  /** Null: nothing is published here. */
  readonly published: PublishedSource | null
  /** Null: there are no pages here. */
  readonly pages: PageSource | null
}

/** Events as lines (event-line.ts), from a position on to the one before `to`. */
export interface EventSource {
  readLines(shard: number, from: number, to: number): AsyncIterable<string>
  /** Only those of one type among them. */
  readEventsOfType(
    shard: number,
    type: ServiceEventType,
    from: number,
    to: number,
  ): AsyncIterable<string>
}

/**
 * What the service says in the log of itself, and a walk has to know before it comes there.
 */
export type ServiceEventType = 'ProjectionAttested' | 'OriginChanged'

/** The transparency log as outsiders see it. */
export interface PublishedSource {
  /** The hashes of tiles, each of the bytes that its width says. */
  readTiles(shard: number, tiles: Tile[]): Promise<Uint8Array[]>
  /** The leaves of a tile of level 0, as a bundle. */
  readEntries(shard: number, tile: Tile): Promise<Uint8Array>
}

/** A page as it was served: its rows, and the position of each shard that it reflects. */
export type ServedPage = { rows: unknown[]; positions: number[] }

/** Whose usage is asked for, and when: of all provider groups together, where no key is named. */
export type UsageRequest = UsageRange & {
  kind: 'all' | 'provider_groups' | 'api_keys' | 'keys'
  key: number | string | null
}

/** What was answered to that. */
export type ServedUsage = { body: unknown; positions: number[] }

export interface PageSource {
  /** The summary, as one row. */
  readSummary(): Promise<ServedPage>
  /** All pages of a list, with the rows that ended. */
  readList(path: 'provider-groups' | 'api-keys' | 'keys'): AsyncIterable<ServedPage>
  /** A page of usage in UTC: all that was acknowledged, or (`isEventual`) what is there already. */
  readUsage(request: UsageRequest, isEventual: boolean): Promise<ServedUsage>
}

/** An archive, dealt to a number of shards as an import does it (docs/scale.md). */
export interface ReshardedSource {
  readonly shards: number
  /** The signed tree head of a shard, a note; null where there is none. */
  readHead(shard: number): Promise<string | null>
  /** Its events in the order of their time. */
  readResharded(shards: number): AsyncIterable<ReshardedEvent[]>
}

/** Where an event stood, and where it stands now; null where it has no place any more. */
export type ReshardedEvent = { from: ReshardedLeaf; to: ReshardedLeaf | null }
export type ReshardedLeaf = { shard: number; leafHash: Hash }

/** It can't be read: no answer, another than was asked for, too large, too slow. */
export class SourceError extends Error {
  override name = 'SourceError'
}

/** It answered, and not with what has to be there: an auditor's finding where that was signed. */
export class NotServed extends SourceError {
  override name = 'NotServed'
}

/** It is not public, and no token was given, or one that it doesn't know. */
export class TokenNeeded extends SourceError {
  override name = 'TokenNeeded'
}
