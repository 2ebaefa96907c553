import { expect } from 'bun:test'
import { CURRENT } from '../../src/read-model/projections/index.ts'
import { type TestService, TOKENS } from '../support/service.ts'
import { readAll, readExact, toAnswer } from './exact.ts'
import type { FuzzedFlush } from './fuzz-bodies.ts'
import type { FuzzedRequest } from './fuzz-requests.ts'
import { live, Model } from './model.ts'
import { apiKeyRowsOf, type ExactRow, groupRowsOf, keyRowsOf, summaryOf } from './model-reads.ts'
import { PATHS } from './naive-body.ts'
import { readCatalogNaively } from './naive-catalog.ts'
import { type RawAnswer, sendRaw } from './raw.ts'

/** What an error never contains: words of the database or of a stack trace. */
const INTERNAL = /postgres|sqlstate|invalid (input|byte)|relation|syntax error|\.ts\b|node_modules/i

/** Sends anything to a service, and compares it with a model of what was accepted. */
export class FuzzSession {
  readonly #model = new Model()
  /** Unix milliseconds, to the second. */
  readonly #began = Math.floor(Date.now() / 1_000) * 1_000

  constructor(private readonly service: TestService) {}

  /** Returns true if the catalog was accepted. */
  async putCatalog(text: string): Promise<boolean> {
    const init = { method: 'PUT', body: Buffer.from(text) }
    const answer = await toAnswer(await this.service.fetch('admin', '/admin/catalog', init))
    const catalog = readCatalogNaively(text)
    const { status, body } = answer
    if (catalog === null) {
      expect(named(text, { status, error: errorOf(body) })).toEqual(
        named(text, { status: 400, error: 'invalid catalog' }),
      )
      return false
    }
    const counted = this.#model.putCatalog(catalog)
    if (typeof counted === 'string') {
      const conflict = { status: 409, error: counted }
      expect(named(text, { status, error: errorOf(body) })).toEqual(named(text, conflict))
      return false
    }
    expect(named(text, { status, body })).toEqual(named(text, { status: 200, body: counted }))
    return true
  }

  /** Posts all flushes concurrently; returns how many were accepted. */
  async postFlushes(flushes: FuzzedFlush[]): Promise<number> {
    const keys = new Set<unknown>()
    const accepted = await Promise.all(
      flushes.map((flush) => {
        // Of two concurrent flushes with one key either could be the first.
        const { idempotencyKey } = flush
        if (!keys.has(idempotencyKey)) {
          keys.add(idempotencyKey)
          return this.#postFlush(flush)
        }
        return this.#postFlush({ ...flush, idempotencyKey: null })
      }),
    )
    return accepted.filter(Boolean).length
  }

  async #postFlush({ kind, bytes, contentType, chunked, idempotencyKey }: FuzzedFlush) {
    const key = typeof idempotencyKey === 'number' ? `key-${idempotencyKey}` : idempotencyKey
    const text = new TextDecoder().decode(bytes)
    const headers = new Headers()
    if (contentType !== null) headers.set('content-type', contentType)
    if (key !== null) headers.set('idempotency-key', key)
    // Before anything is sent: concurrent flushes count in any order.
    const isKey = key === null || /^[!-~]{1,255}$/.test(key)
    const expected = isKey
      ? this.#model.flush(kind, text, key)
      : { status: 400 as const, error: 'invalid idempotency key' }
    const init = { method: 'POST', headers, body: chunked ? inPieces(bytes) : bytes }
    const answer = await toAnswer(await this.service.fetch('dp', PATHS[kind], init))
    const input = { kind, text, key }
    if (expected.status !== 200) {
      const { status, body } = answer
      expect(named(input, { status, error: errorOf(body) })).toEqual(named(input, expected))
      return false
    }
    const { body, replayed, flush } = expected
    if (!replayed) flush.at = answer.positions!
    expect(named(input, answer)).toEqual(
      named(input, { status: 200, body, positions: flush.at, replayed }),
    )
    return true
  }

  /** Sends a request without a body; returns the status. */
  async request({ method, path, query }: FuzzedRequest): Promise<number> {
    // The server reads invalid UTF-8 as U+FFFD, so this could retire a key of that name.
    if (method === 'DELETE' && decode(path) === null)
      return this.request({ method: 'GET', path, query })
    const line = `${method} ${path}${query} HTTP/1.1`
    const head = `${line}\r\nauthorization: Bearer ${TOKENS.admin}`
    const answer = await sendRaw(this.service.url, head)
    expect(named(line, answer.status < 200 || answer.status >= 500)).toEqual(named(line, false))
    if (answer.status >= 400 && method !== 'HEAD') expectProblem(line, answer)
    if (method === 'DELETE') this.#end(path, answer.status)
    return answer.status
  }

  /** Expects that a DELETE retired the right row, and retires it in the model. */
  #end(path: string, status: number): void {
    const [, admin, list, segment, ...rest] = path.split('/')
    if (admin !== 'admin' || segment === undefined || rest.length > 0) return
    const { groups, apiKeys, keys } = this.#model
    const id = decode(segment)!
    const find = <Row extends { external_id: string | null }>(rows: Map<number, Row>) => {
      if (/^[1-9]\d*$/.test(id)) return rows.get(Number(id))
      return [...rows.values()].find(({ external_id }) => id === `ext:${external_id}`)
    }
    const row = {
      'provider-groups': find(groups),
      'api-keys': find(apiKeys),
      keys: keys.get(id),
    }[list!]
    expect(named(path, status === 204)).toEqual(named(path, live(row) !== undefined))
    this.#model.end(row)
  }

  /** Compares the summary, which waits for the projector, with the model's. */
  async compareSummary(): Promise<void> {
    const answer = await toAnswer(await this.service.fetch('admin', '/admin/apikey-stats/summary'))
    expect(answer.body).toEqual(summaryOf(this.#model))
  }

  /** Compares all counters with the model's; expects that every event was folded. */
  async compareTotals(): Promise<void> {
    const query = 'ended=true&limit=7'
    expect(await readAll(this.service, 'provider-groups', query)).toEqual(groupRowsOf(this.#model))
    expect(await readAll(this.service, 'api-keys', query)).toEqual(apiKeyRowsOf(this.#model))
    const keys = keyRowsOf(this.#model)
    const found = await readAll(this.service, 'keys', query)
    for (const [hash, row] of found) this.#boundAccess(row, keys.get(hash))
    expect(found).toEqual(keys)
    for (const [hash, row] of keys) await this.#compareKey(hash, row)
    const status = await this.service.read<{
      items: { name: string; lag_events: number }[]
      parked_events: { count: number }
    }>('/admin/projections')
    // Usage and snapshots lag while no one reads them.
    const behind = status.items.filter(
      ({ name, lag_events }) => lag_events > 0 && CURRENT.some((one) => one.name === name),
    )
    expect(behind).toEqual([])
    expect(status.parked_events.count).toBe(0)
  }

  /** Expects that a key is found by its hash, however unusual. */
  async #compareKey(hash: string, row: ExactRow): Promise<void> {
    // Clients resolve these as path segments.
    if (hash === '.' || hash === '..') return
    const path = `/admin/keys/${encodeURIComponent(hash)}?ended=true`
    const { body } = await toAnswer(await this.service.fetch('admin', path))
    this.#boundAccess(body as ExactRow, row)
    expect(body).toEqual(row)
  }

  /**
   * An access is recorded as at most five minutes after its flush was, and the model doesn't know
   * that time. If it was posted as later than the start of the session, any time between that and
   * five minutes from now is right.
   */
  #boundAccess(found: ExactRow, expected: ExactRow | undefined): void {
    const read = (row: ExactRow | undefined) => Date.parse(String(row?.last_accessed_at))
    const isBounded = read(expected) > this.#began
    const isRight = read(found) > this.#began && read(found) <= Date.now() + 300_000
    if (isBounded && isRight) found.last_accessed_at = expected!.last_accessed_at!
  }
}

/** Adds the input, so that a difference shows it. */
const named = (input: unknown, answer: unknown) => ({ input, answer })

const errorOf = (body: unknown) => (body as { error?: string }).error

function expectProblem(line: string, { status, contentType, body }: RawAnswer): void {
  const problem = readProblem(body)
  expect(named(line, { contentType, status: problem.status, error: typeof problem.error })).toEqual(
    named(line, {
      contentType: 'application/problem+json',
      status: BigInt(status),
      error: 'string',
    }),
  )
  expect(named(line, INTERNAL.exec(body)?.[0])).toEqual(named(line, undefined))
}

function readProblem(body: string): Record<string, unknown> {
  try {
    return readExact(body) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** Returns the bytes as a stream of two halves, which is sent without a length. */
function inPieces(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  const half = bytes.length >> 1
  return new ReadableStream({
    start(controller) {
      for (const piece of [bytes.slice(0, half), bytes.slice(half)]) {
        if (piece.length > 0) controller.enqueue(piece)
      }
      controller.close()
    },
  })
}

/** Returns null if it is not percent-encoded UTF-8. */
function decode(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
