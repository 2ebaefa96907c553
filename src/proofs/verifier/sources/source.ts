import type { Hash } from '../../merkle/hash.ts'
import type { Tile } from '../../merkle/tile.ts'
import type { UsageRange } from '../usage-range.ts'

/**
 * A source of a log. Nothing that it returns is trusted. Its methods throw SourceError if something
 * can't be read at all.
 */
export interface LogSource {
  readonly shards: number
  /**
   * The number of events of each shard if it is known without a tree head, as in an archive. Null
   * if the log is live and ends at its heads.
   */
  readonly sizes: readonly number[] | null
  /** Reads the verifier keys that the operator names, as texts. */
  readKeys(): Promise<string[]>
  /** Reads the newest signed tree head of a shard (a note), or null if there is none. */
  readHead(shard: number): Promise<string | null>
  /** Null if only leaves can be read, not events. */
  readonly events: EventSource | null
  /** Null if no tiles are published. */
  readonly published: PublishedSource | null
  /** Null if there are no pages. */
  readonly pages: PageSource | null
}

/** Reads events as lines (event-line.ts), from `from` to `to` (exclusive). */
export interface EventSource {
  readLines(shard: number, from: number, to: number): AsyncIterable<string>
  /** Reads only those of one type. */
  readEventsOfType(
    shard: number,
    type: ServiceEventType,
    from: number,
    to: number,
  ): AsyncIterable<string>
}

/** The types of service events that a walk must know before it reaches them. */
export type ServiceEventType = 'ProjectionAttested' | 'OriginChanged'

/** The published tiles and entries of a log. */
export interface PublishedSource {
  /** Reads the hashes of tiles, each with the bytes of its width. */
  readTiles(shard: number, tiles: Tile[]): Promise<Uint8Array[]>
  /** Reads the leaves of a level-0 tile as a bundle. */
  readEntries(shard: number, tile: Tile): Promise<Uint8Array>
}

/** A served page: its rows, and the position of each shard that it reflects. */
export type ServedPage = { rows: unknown[]; positions: number[] }

/** A request for usage in a range. If `key` is null, it is for all provider groups together. */
export type UsageRequest = UsageRange & {
  kind: 'all' | 'provider_groups' | 'api_keys' | 'keys'
  key: number | string | null
}

/** A request for usage by the values of a dimension: of each day, or of the range as a whole. */
export type DividedRequest = UsageRequest & { by: string; isWhole: boolean }

/** The response to a request for usage. */
export type ServedUsage = { body: unknown; positions: number[] }

/** The lists of a service, by their paths. */
export type ListName = 'provider-groups' | 'api-keys' | 'keys' | 'dimensions' | 'measures'

/** The pages of a running service. */
export interface PageSource {
  /** Reads the summary as one row. */
  readSummary(): Promise<ServedPage>
  /** Reads all pages of a list, including retired rows. */
  readList(path: ListName): AsyncIterable<ServedPage>
  /**
   * Reads a page of usage in UTC: of everything acknowledged, or (`isEventual`) of what is
   * projected already. Throws UsageByDays.
   */
  readUsage(request: UsageRequest, isEventual: boolean): Promise<ServedUsage>
  /** Reads a page of usage by dimension in the same way. */
  readDivided(request: DividedRequest, isEventual: boolean): Promise<ServedUsage>
}

/** An archive, resharded as an import does it (docs/scale.md). */
export interface ReshardedSource {
  readonly shards: number
  /** Reads the signed tree head of a shard (a note), or null if there is none. */
  readHead(shard: number): Promise<string | null>
  /** Reads its events in the order of their time. */
  readResharded(shards: number): AsyncIterable<ReshardedEvent[]>
  /**
   * Lists where the events are now that reversals name, by the new positions of the reversals. All
   * events must have been read.
   */
  listReversals(): readonly (readonly [number, string])[]
}

/** The old and new location of an event. `to` is null if the new log doesn't have it. */
export type ReshardedEvent = { from: ReshardedLeaf; to: ReshardedLeaf | null }
/** A leaf in a shard. */
export type ReshardedLeaf = { shard: number; leafHash: Hash }

/** The log can't be read: no response, an unexpected one, or one too large or too slow. */
export class SourceError extends Error {
  override name = 'SourceError'
}

/** The service did not serve what must exist. If that was signed, it is a finding. */
export class NotServed extends SourceError {
  override name = 'NotServed'
}

/** The service keeps usage of this range by days, and was asked for hours. */
export class UsageByDays extends SourceError {
  override name = 'UsageByDays'
}

/** The log is not public, and no valid token was given. */
export class TokenNeeded extends SourceError {
  override name = 'TokenNeeded'
}
