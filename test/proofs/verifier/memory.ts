import { versionOfAttested } from '../../../src/events/digest.ts'
import { hashPayload } from '../../../src/events/event.ts'
import { type LineEvent, toEventLine } from '../../../src/events/event-line.ts'
import { hashLeaf, toLeaf } from '../../../src/events/leaf.ts'
import type { Attestation } from '../../../src/events/statement.ts'
import { formatEntries } from '../../../src/proofs/merkle/entries.ts'
import { type Hash, sha256 } from '../../../src/proofs/merkle/hash.ts'
import { makeSigningKey, type SigningKey } from '../../../src/proofs/merkle/key.ts'
import { formatProofFile } from '../../../src/proofs/merkle/proof-file.ts'
import { proveInclusion } from '../../../src/proofs/merkle/prove.ts'
import { signTreeHead } from '../../../src/proofs/merkle/tree-head.ts'
import {
  Audit,
  type Finding,
  type LogSource,
  ShardFold,
} from '../../../src/proofs/verifier/index.ts'
import type {
  ListName,
  ServedPage,
  UsageRequest,
} from '../../../src/proofs/verifier/sources/source.ts'
import { rootOf, tilesOf } from '../../support/tree.ts'
import { attestationOf } from './attestation.ts'
import { decode, showDivided, showRated, showUsage, type UsagePage } from './memory-usage.ts'

const BEGIN = Date.parse('2026-01-31T12:00:00Z')

type Row = Record<string, unknown>
type ServedMemory = { body: UsagePage; positions: number[] }
export type Pages = { [list in ListName]: Row[] } & { summary: Row }

/**
 * A log in memory that serves the answers of an honest service. A test can replace the events, from
 * which all answers are computed, or only an answer.
 */
export class MemoryLog {
  readonly events: LineEvent[][]
  readonly keys: SigningKey[]
  /** The most rows of a page; small, so that lists have several pages. */
  pageRows = 2
  /** Milliseconds from one event of a shard to the next. */
  stepMs = 60_000
  /** The answers that are served instead of those computed from the events. */
  tampered: {
    leaves?: Hash[]
    entries?: string[]
    lines?: string[]
    announced?: string[]
    head?: (shard: number) => string | null
    page?: (path: string, page: ServedPage) => ServedPage
    usage?: (request: UsageRequest, page: ServedMemory) => { body: unknown; positions: number[] }
  } = {}

  constructor(
    readonly shards = 1,
    readonly name = 'stats.example.com',
  ) {
    this.events = Array.from({ length: shards }, () => [])
    this.keys = this.events.map((_, i) => makeSigningKey(`${name}/audit/log/${i}`, sha256('seed')))
  }

  append(type: string, payload: unknown, { shard = 0, version = 1 } = {}): LineEvent {
    const text = JSON.stringify(payload)
    const position = this.events[shard]!.length
    const event: LineEvent = {
      shard,
      position,
      type,
      version,
      source: 'dp',
      idempotencyKey: null,
      recordedAt: new Date(BEGIN + position * this.stepMs).toISOString().replace('Z', '000+00:00'),
      payload: text,
      payloadSha256: hashPayload(text),
    }
    this.events[shard]!.push(event)
    return event
  }

  flush(id: number, requests: number, successes = requests, shard = 0): LineEvent {
    const payload = { groups: [1], counts: [1], ids: [id], requests: [requests] }
    const columns = { ...payload, successes: [successes] }
    return this.append('ApiKeyStatsFlushed', columns, { shard })
  }

  flushKey(hash: string, requests: number, shard = 0, accessed = 1_700_000_000): LineEvent {
    const payload = {
      hashes: [hash],
      requests: [requests],
      tokens: [2 * requests],
      last_accessed_at: [accessed],
      quota_tracked: [true],
    }
    return this.append('KeyStatsFlushed', payload, { shard })
  }

  /** Returns the attestation that an honest service would append now. */
  attestation = (shard = 0): Attestation => attestationOf(this.fold(shard), shard)

  attest(
    shard = 0,
    change: (attestation: Attestation) => void = () => {},
    version?: number,
  ): LineEvent {
    const attestation = this.attestation(shard)
    const written = { version: version ?? versionOfAttested(attestation.tables) }
    change(attestation)
    return this.append('ProjectionAttested', attestation, { shard, ...written })
  }

  fold(shard: number, size = this.events[shard]!.length): ShardFold {
    const fold = new ShardFold()
    for (const event of this.events[shard]!.slice(0, size)) {
      fold.add(decode(event), event.position, event.recordedAt)
    }
    return fold
  }

  leaves(shard = 0): Hash[] {
    return this.events[shard]!.map((event) => hashLeaf(toLeaf(event)))
  }

  /** Returns the signed tree head of the first `size` events. */
  head(shard = 0, size = this.events[shard]!.length, keys = [this.keys[shard]!]): string {
    const root = rootOf(this.leaves(shard).slice(0, size))
    return signTreeHead({ origin: keys[0]!.name, size, root }, keys).note
  }

  async receipt({ shard, position }: LineEvent, size = this.events[shard]!.length) {
    const leaves = this.leaves(shard).slice(0, size)
    return formatProofFile({
      extra: toEventLine(this.events[shard]![position]!),
      index: position,
      proof: await proveInclusion(position, size, tilesOf(leaves)),
      head: this.head(shard, size),
    })
  }

  source(): LogSource {
    const { tampered } = this
    const leavesOf = (shard: number) => tampered.leaves ?? this.leaves(shard)
    const entriesOf = (shard: number) => tampered.entries ?? this.events[shard]!.map(toLeaf)
    const lines = (shard: number) => this.events[shard]!.map((event) => toEventLine(event))
    const announced = (shard: number, type: string) =>
      (tampered.announced ?? lines(shard)).filter((line) => line.includes(`"type":"${type}"`))
    return {
      shards: this.shards,
      sizes: null,
      readKeys: async () => [],
      readHead: async (shard) => (tampered.head ?? ((one) => this.head(one)))(shard),
      published: {
        readTiles: (shard, tiles) => tilesOf(leavesOf(shard))(tiles),
        readEntries: async (shard, { number, width }) =>
          formatEntries(entriesOf(shard).slice(number * 256, number * 256 + width))!,
      },
      events: {
        readLines: (shard, from) => each((tampered.lines ?? lines(shard)).slice(from)),
        readEventsOfType: (shard, type, from) =>
          each(announced(shard, type).filter((line) => positionOf(line) >= from)),
      },
      pages: {
        readSummary: async () => this.#page('summary', [this.pages().summary]),
        readList: (path) => this.#list(path),
        readUsage: async (request) => this.#usage(request),
        readDivided: async (request) => ({
          body: showDivided(this.events.flat(), request),
          positions: this.positions(),
        }),
      },
    }
  }

  async *#list(path: Exclude<keyof Pages, 'summary'>): AsyncGenerator<ServedPage> {
    const rows = this.pages()[path]
    for (let i = 0; i === 0 || i < rows.length; i += this.pageRows) {
      yield this.#page(path, rows.slice(i, i + this.pageRows))
    }
  }

  #page(path: string, rows: Row[]): ServedPage {
    const page = { rows, positions: this.positions() }
    return this.tampered.page?.(path, page) ?? page
  }

  #usage(request: UsageRequest) {
    const page = { body: showUsage(this.events.flat(), request), positions: this.positions() }
    return this.tampered.usage?.(request, page) ?? page
  }

  positions(): number[] {
    return this.events.map((events) => events.length - 1)
  }

  /** Returns the rows of all pages as an honest service shows them. */
  pages(): Pages {
    const folds = this.events.map((_, shard) => this.fold(shard))
    const sum = (read: (fold: ShardFold) => readonly (number | bigint)[] | undefined) =>
      [0, 1, 2].map((i) => Number(folds.reduce((all, f) => all + BigInt(read(f)?.[i] ?? 0), 0n)))
    const { provider_groups, api_keys, keys, dimensions, measures } = folds[0]!.catalog
    const end = (ended: unknown) => (ended === null ? {} : { ended_at: ended })
    return {
      summary: showRated(sum((fold) => Object.values(fold.totals()))),
      dimensions: [...dimensions].map(([name, [ended]]) => ({ name, ...end(ended) })),
      measures: [...measures].map(([name, [, ended, unit]]) => ({ name, unit, ...end(ended) })),
      'provider-groups': [...provider_groups].map(([id, [name, ended, external_id]]) => ({
        id,
        external_id,
        name,
        ...end(ended),
        ...showRated(sum((fold) => fold.groups.get(Number(id)))),
      })),
      'api-keys': [...api_keys].map(([id, [group_id, name, ended, external_id]]) => ({
        id,
        external_id,
        group_id,
        name,
        ...end(ended),
        ...showRated(sum((fold) => fold.apiKeys.get(Number(id)))),
      })),
      keys: [...keys].map(([hash, [quota_limit, name, ended]]) => {
        const [request_count, used_tokens, quota_used] = sum((fold) => fold.keys.get(String(hash)))
        const used = Math.max(...folds.map(({ lastAccess }) => lastAccess.get(String(hash)) ?? 0))
        const iso = new Date(used * 1_000).toISOString().replace('.000Z', '+00:00')
        const last_accessed_at = used > 0 ? iso : null
        return {
          token_hash: hash,
          name,
          request_count,
          used_tokens,
          quota_limit,
          quota_used,
          last_accessed_at,
          ...end(ended),
        }
      }),
    }
  }
}

/** Fills a log with events of every common kind. */
export function fillLog(log = new MemoryLog()): MemoryLog {
  const upserted = {
    provider_groups: [{ id: 1, name: 'openai', external_id: 'gw "1"' }],
    api_keys: [7, 8, 9].map((id) => ({ id, group_id: 1, name: null })),
    keys: [{ token_hash: 'a', quota_limit: 100, name: 'ü' }],
  }
  log.append('CatalogChanged', { upserted, ended: {} }, { version: 2 })
  for (let shard = 0; shard < log.shards; shard++) {
    log.flush(7, 10, 9, shard)
    log.flushKey('a', 3, shard)
    log.attest(shard)
    log.flush(8, 5, 5, shard)
    log.attest(shard)
    log.flush(7, 1, 0, shard)
  }
  return log
}

export type MemoryAuditOptions = Partial<ConstructorParameters<typeof Audit>[0]>

/** Audits the answers of a log; `found` has the findings as `kind at`, without duplicates. */
export async function auditLog(log: MemoryLog, options: MemoryAuditOptions = {}) {
  const all: Finding[] = []
  const audit = new Audit({
    source: log.source(),
    keys: log.keys,
    kept: new Map(),
    receipts: new Map(),
    headsOnly: false,
    growMs: 0,
    // By the day, because many hours have passed since these events.
    usage: { rows: 1_000, days: 500_000, hours: 0 },
    onFinding: (finding) => all.push(finding),
    onProgress: () => {},
    ...options,
  })
  const report = await audit.run()
  const found = [...new Set(all.map(({ kind, at }) => `${kind} ${at}`))]
  return { report, found, all, audit }
}

/** Changes one event as the owner of the database could, and computes all hashes again. */
export function rewrite(log: MemoryLog, { shard, position }: LineEvent, payload: string): void {
  const event = log.events[shard]![position]!
  log.events[shard]![position] = { ...event, payload, payloadSha256: hashPayload(payload) }
}

const positionOf = (line: string) => Number(/"position":(\d+)/.exec(line)![1])

async function* each(lines: string[]): AsyncGenerator<string> {
  yield* lines
}
