import { afterEach, describe, expect, test } from 'bun:test'
import { EMPTY_ROOT, sha256 } from '../../../src/proofs/merkle/hash.ts'
import { makeSigningKey } from '../../../src/proofs/merkle/key.ts'
import { signTreeHead } from '../../../src/proofs/merkle/tree-head.ts'
import {
  Audit,
  type Finding,
  openHttpSource,
  SourceError,
} from '../../../src/proofs/verifier/index.ts'
import { makeReceipt } from './make-receipt.ts'
import { showUsage } from './memory-usage.ts'

// Real HTTP, from a server that sends harmful answers.

const key = makeSigningKey('stats.example.com/audit/log/0', sha256('seed'))
const head = (size: number, root: Uint8Array) =>
  signTreeHead({ origin: key.name, size, root }, [key]).note

let server: ReturnType<typeof Bun.serve> | null = null
afterEach(async () => {
  await server?.stop(true)
  server = null
})

type Paths = Record<string, (request: Request) => Response | Promise<Response>>

/** Serves these paths, and 404 for all others. */
function serve(paths: Paths): string {
  server = Bun.serve({
    port: 0,
    fetch: (request) => {
      const { pathname } = new URL(request.url)
      return (paths[pathname] ?? (() => new Response('', { status: 404 })))(request)
    },
  })
  return server.url.href
}

const CHECKPOINT = '/audit/log/0/checkpoint'

/** Limits that answers meet even on a busy machine. */
const PATIENT = { silenceMs: 60_000, bodyMs: 60_000, lineBytes: 1024 * 1024 }
const IMPATIENT = { ...PATIENT, silenceMs: 100, bodyMs: 200 }

async function run(
  url: string,
  token: string | null = 'token',
  receipts: ReadonlyMap<string, string> = new Map(),
  limits = PATIENT,
): Promise<Finding[]> {
  const findings: Finding[] = []
  const source = await openHttpSource({ url, token, limits })
  const audit = new Audit({
    source,
    keys: [key],
    kept: new Map(),
    receipts,
    headsOnly: token === null,
    growMs: 100,
    onFinding: (finding) => findings.push(finding),
    onProgress: () => {},
  })
  await audit.run()
  return findings
}

const endless = () =>
  new Response(
    new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1024 * 1024)) }),
  )

const page = (body: unknown, positions = '0/-1') =>
  Response.json(body, { headers: { 'tallybook-position': positions } })
const zeros = {
  total_requests: 0,
  success_requests: 0,
  failure_requests: 0,
  success_rate: 0,
  failure_rate: 0,
}
/** Answers a request for usage with a page without usage. */
const usage = (positions?: string) => (request: Request) => {
  const { searchParams: query } = new URL(request.url)
  const [from, to] = ['from', 'to'].map((name) => Date.parse(query.get(name)!))
  const range = { bucket: query.get('bucket') as 'hour' | 'day', from: from!, to: to! }
  return page(showUsage([], { ...range, kind: 'all', key: null }), positions)
}
const list = () => page({ items: [], next_cursor: null })
const EMPTY = {
  [CHECKPOINT]: () => new Response(head(0, EMPTY_ROOT)),
  '/admin/apikey-stats/summary': () => page(zeros),
  '/admin/provider-groups': list,
  '/admin/api-keys': list,
  '/admin/keys': list,
  '/admin/usage': usage(),
}

/** Pages without rows, as of a position. */
const emptyAt = (positions: string) => ({
  '/admin/apikey-stats/summary': () => page(zeros, positions),
  '/admin/provider-groups': () => page({ items: [], next_cursor: null }, positions),
  '/admin/api-keys': () => page({ items: [], next_cursor: null }, positions),
  '/admin/keys': () => page({ items: [], next_cursor: null }, positions),
  '/admin/usage': usage(positions),
})

/** An endless body that sends one byte every `ms` milliseconds. */
const dripping = (ms: number) => () =>
  new Response(
    new ReadableStream({
      pull: async (controller) => {
        controller.enqueue(new Uint8Array([0x78]))
        await Bun.sleep(ms)
      },
    }),
  )

const signedThree = () => new Response(head(3, sha256('root')))

let cursors = 0

test('an audit of an empty log finds nothing', async () => {
  expect(await run(serve(EMPTY))).toEqual([])
})

test('a request for usage is repeated if the service is busy for a moment', async () => {
  let asked = 0
  const busy = (request: Request) =>
    asked++ === 0 ? new Response('', { status: 503 }) : usage()(request)
  expect(await run(serve({ ...EMPTY, '/admin/usage': busy }))).toEqual([])
  expect(asked).toBe(2)
})

/** Returns the error of an audit that fails. */
async function failureOf(url: string, limits = PATIENT): Promise<SourceError> {
  const outcome = await run(url, 'token', new Map(), limits).catch((error: unknown) => error)
  expect(outcome).toBeInstanceOf(SourceError)
  return outcome as SourceError
}

/** Returns the message without the parts that differ between runs: port, cause and days. */
const toStable = ({ message }: SourceError) =>
  message
    .replace(/:\d+\//, ':<port>/')
    .replace(/ \(.*\)$/, ' (<cause>)')
    .replaceAll(/\d{4}-\d\d-\d\dT/g, '<day>T')

describe('an unreadable answer ends the audit without a finding', () => {
  test.each<[string, Paths]>([
    ['nothing there', {}],
    ['an endless tree head', { [CHECKPOINT]: endless }],
    ['a redirect', { [CHECKPOINT]: () => Response.redirect('http://localhost:1/', 302) }],
    ['a page that is not JSON', { ...EMPTY, '/admin/keys': () => new Response('{') }],
    ['a page without a position', { ...EMPTY, '/admin/keys': () => Response.json({ items: [] }) }],
    ['items that are not a list', { ...EMPTY, '/admin/keys': () => page({ items: 7 }) }],
    [
      'a list that never ends',
      { ...EMPTY, '/admin/keys': () => page({ items: [], next_cursor: 'a' }) },
    ],
    [
      'a list of empty pages',
      { ...EMPTY, '/admin/keys': () => page({ items: [], next_cursor: `${cursors++}` }) },
    ],
    [
      'a cursor that is not a string',
      { ...EMPTY, '/admin/keys': () => page({ items: [{}], next_cursor: 7 }) },
    ],
    ['a page of some shards', { ...EMPTY, '/admin/keys': () => page({ items: [] }, '1/7') }],
    ['an endless line', { ...emptyAt('0/2'), [CHECKPOINT]: signedThree, '/audit/events': endless }],
    ['an endless page', { ...EMPTY, '/admin/api-keys': endless }],
    ['usage that is not JSON', { ...EMPTY, '/admin/usage': () => new Response('{') }],
    ['endless usage', { ...EMPTY, '/admin/usage': endless }],
  ])('%s', async (_, paths) => {
    expect(toStable(await failureOf(serve(paths)))).toMatchSnapshot()
  })

  test.each<[string, Paths]>([
    ['a tree head that drips', { [CHECKPOINT]: dripping(10) }],
    ['a page that drips', { ...EMPTY, '/admin/keys': dripping(10) }],
    ['usage that drips', { ...EMPTY, '/admin/usage': dripping(10) }],
    ['a page that stops', { ...EMPTY, '/admin/keys': dripping(100_000) }],
    ['an answer that never comes', { ...EMPTY, '/admin/keys': () => new Promise(() => {}) }],
    [
      'events that stop',
      { ...emptyAt('0/2'), [CHECKPOINT]: signedThree, '/audit/events': dripping(100_000) },
    ],
  ])('%s', async (_, paths) => {
    await failureOf(serve(paths), IMPATIENT)
  })

  test('an endless number of shards', async () => {
    server = Bun.serve({ port: 0, fetch: () => new Response(head(0, EMPTY_ROOT)) })
    expect(toStable(await failureOf(server.url.href))).toMatchSnapshot()
  })
})

describe('a wrong answer is reported', () => {
  const kinds = async (paths: Paths, token?: null) =>
    (await run(serve({ ...EMPTY, ...paths }), token)).map(({ kind }) => kind)

  test('a tree head that is not a note or has an invalid signature', async () => {
    for (const text of ['', 'x', head(0, EMPTY_ROOT).replace('\n0\n', '\n1\n')]) {
      expect(await kinds({ [CHECKPOINT]: () => new Response(text) }, null)).toEqual(['signature'])
    }
  })

  test('a signed tree without its tiles', async () => {
    const found = await kinds({
      ...emptyAt('0/2'),
      [CHECKPOINT]: () => new Response(head(3, sha256('root'))),
      '/audit/events': () => new Response(''),
    })
    expect(found).toEqual(['order'])
  })

  test('lines that are not events', async () => {
    const found = await kinds({
      ...emptyAt('0/0'),
      [CHECKPOINT]: () => new Response(head(1, sha256('root'))),
      '/audit/log/0/tile/0/000.p/1': () => new Response(sha256('leaf')),
      '/audit/log/0/tile/entries/000.p/1': () => new Response(new Uint8Array([255, 255, 1])),
      '/audit/events': () => new Response('{"shard":0,"position":0}\n'),
    })
    expect(found.sort()).toEqual(['order', 'published'])
  })

  test('a tile that is too large, which ends the audit', async () => {
    const paths = {
      ...EMPTY,
      [CHECKPOINT]: () => new Response(head(1, sha256('root'))),
      '/audit/log/0/tile/0/000.p/1': endless,
      '/audit/events': () => new Response('x\n'),
    }
    expect(toStable(await failureOf(serve(paths)))).toMatchSnapshot()
  })

  test('totals of an empty log', async () => {
    const found = await run(
      serve({
        ...EMPTY,
        '/admin/apikey-stats/summary': () =>
          page({ ...zeros, total_requests: 1, failure_requests: 1, failure_rate: 1 }),
        '/admin/provider-groups': () =>
          page({ items: [{ id: 1, ...zeros, success_rate: 0.5 }], next_cursor: null }),
      }),
    )
    expect(found.map(({ at, message }) => `${at}: ${message.split(' ')[0]}`)).toEqual([
      'summary: total_requests',
      'summary: failure_requests',
      'summary: failure_rate',
      'provider-groups 1: the',
    ])
  })

  test('a log that is shorter than a receipt states', async () => {
    const receipts = new Map([['r', await makeReceipt(key)]])
    const found = await run(serve(EMPTY), 'token', receipts)
    expect(found.map(({ kind, at }) => `${kind} ${at}`)).toEqual(['receipt r'])
  })

  test('pages that stay ahead of the signed head', async () => {
    const found = await run(
      serve({ ...EMPTY, '/admin/keys': () => page({ items: [], next_cursor: null }, '0/7') }),
    )
    expect(found.map(({ kind, at }) => `${kind} ${at}`)).toEqual(['total shard 0'])
    expect(found[0]!.message).toMatchSnapshot()
  })
})
