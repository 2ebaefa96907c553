/** Why a store did not do what it was asked. `reason` is for operators, and holds no secret. */
export type StoreFailure =
  /** There is no object of that name. */
  | { kind: 'not_found'; reason: string }
  /** It does not answer, or can't now: try again later. */
  | { kind: 'unavailable'; reason: string }
  /** It has no room. */
  | { kind: 'full'; reason: string }
  /** The credentials or permissions do not suffice. */
  | { kind: 'denied'; reason: string }
  /** What it returned is not what was stored: another length, or another hash. */
  | { kind: 'lied'; reason: string }

/** A part of an object: its length, from an offset on. */
export type Range = { offset: number; length: number }

/**
 * Where segments are kept: a directory, or a bucket of S3. Names are paths such as
 * `shard-0/0-70000.segment` (`isObjectName`). No method throws for what a store does; all answer
 * within a time.
 */
export type SegmentStore = {
  /** Its URL, for people. */
  readonly url: string
  /**
   * Stores an object, which appears whole or not at all, and replaces none. Takes what `content`
   * yields as fast as it can store it. Rejects as `content` does. One that was unavailable may
   * still take effect, much later: the next attempt must have another name.
   */
  put(
    name: string,
    content: AsyncIterable<Uint8Array>,
  ): Promise<{ kind: 'stored'; bytes: number } | { kind: 'exists' } | StoreFailure>
  /** Returns the length of an object. */
  size(name: string): Promise<{ kind: 'found'; bytes: number } | StoreFailure>
  /** Returns a part of an object, of exactly the length asked for. */
  read(
    name: string,
    range: Range,
  ): Promise<{ kind: 'read'; bytes: Buffer<ArrayBuffer> } | StoreFailure>
  /** Removes an object, or what an interrupted `put` has left of it. */
  remove(name: string): Promise<{ kind: 'removed' } | StoreFailure>
  /** Returns the names of all objects, in order. */
  list(): Promise<{ kind: 'listed'; names: string[] } | StoreFailure>
}

/** True for a path of plain names: it leads to no other folder, and means the same everywhere. */
export const isObjectName = (name: string): boolean =>
  /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)*$/.test(name) && name.length <= 200

/** Throws unless a name can be one: only the program makes names. */
export function checkObjectName(name: string): void {
  if (!isObjectName(name)) throw new Error(`${JSON.stringify(name)} can't name a segment`)
}
