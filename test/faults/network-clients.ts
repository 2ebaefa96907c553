import { SubscribedStream } from '../support/follow.ts'
import { type TestService, TOKENS } from '../support/service.ts'
import { KNOWN_KEYS } from './history.ts'
import type { Timings } from './network-timing.ts'
import { isRefusal, read, send, type Traffic } from './traffic.ts'

/** Milliseconds until a client subscribes again after its stream has ended. */
const RETRY_MS = 80

/** Reads of all kinds, of the present and of the past. */
const READS = [
  '/admin/apikey-stats/summary',
  '/admin/apikey-stats/summary?consistency=eventual',
  '/admin/apikey-stats/summary?as_of_position=',
  '/admin/provider-groups',
  '/admin/api-keys?sort=-total_requests',
  '/admin/api-keys/7',
  '/admin/keys',
  '/admin/usage',
  '/admin/projections',
  '/admin/status',
  '/admin/tokens',
  '/admin/verifications',
]

/** Reads of the log: a page, an event, an explanation, the tree. */
const LOG_READS = [
  '/audit/events?limit=20',
  '/audit/events/0/0',
  '/audit/explain?api_key_id=7',
  '/audit/log/0/checkpoint',
  '/audit/log/0/tile/0/0',
]

/** Reads random paths of one list, one after the other. */
export async function readAll(traffic: Traffic, paths: 'reads' | 'log'): Promise<void> {
  const { history, random, isOver, pauseMs = 0 } = traffic
  const all = paths === 'reads' ? READS : LOG_READS
  while (!isOver()) {
    await Bun.sleep(random.below(2 * pauseMs))
    const path = random.pick(all)
    const answer = await read(traffic, path.endsWith('=') ? `${path}0/0` : path)
    if (answer === null) history.violate(`${path}: no answer`)
    // 404: nothing is signed yet, or no tile is full.
    else if (![200, 404].includes(answer.status) && !isRefusal(answer.status)) {
      history.violate(`${path}: ${answer.status} ${answer.body}`)
    }
  }
}

/** Signs in, reads with the cookie, and signs out. */
export async function browse(traffic: Traffic): Promise<void> {
  const { history, random, isOver, urls, pauseMs = 0 } = traffic
  while (!isOver()) {
    await Bun.sleep(random.below(10 * pauseMs))
    const url = random.pick(urls())
    const cookie = await signIn(traffic, url)
    if (cookie === null) continue
    for (const [method, path] of [
      ['GET', '/session'],
      ['GET', `/admin/api-keys/${1 + random.below(KNOWN_KEYS)}`],
      ['DELETE', '/session'],
    ] as const) {
      const answer = await send(traffic, url + path, { method, headers: { cookie } })
      if (answer === null) history.violate(`${method} ${path}: no answer`)
      else if (![200, 204].includes(answer.status) && !isRefusal(answer.status)) {
        history.violate(`${method} ${path}: ${answer.status} ${answer.body}`)
      }
    }
  }
}

async function signIn(traffic: Traffic, url: string): Promise<string | null> {
  const onEnded = traffic.onSent?.('POST', `${url}/session`)
  const body = JSON.stringify({ token: TOKENS.auditor })
  const response = await fetch(`${url}/session`, { method: 'POST', body }).catch(() => null)
  await response?.arrayBuffer()
  onEnded?.(response?.status ?? 0)
  if (response?.status === 201) return response.headers.get('set-cookie')!.split(';')[0]!
  if (!response || !isRefusal(response.status)) {
    traffic.history.violate(`sign-in: ${response?.status}`)
  }
  return null
}

/** Requests the service's health ten times a second. It must be live whatever the network does. */
export async function watchHealth(traffic: Traffic): Promise<void> {
  while (!traffic.isOver()) {
    const [live, ready] = await Promise.all([
      read(traffic, '/health/live'),
      read(traffic, '/health/ready'),
      Bun.sleep(100),
    ])
    if (live?.status !== 200) traffic.history.violate(`/health/live: ${live?.status}`)
    if (ready === null || ![200, 503].includes(ready.status)) {
      traffic.history.violate(`/health/ready: ${ready?.status} ${ready?.body}`)
    }
  }
}

/**
 * Subscribes to the log from its first event, and resumes after each interruption. Checks that each
 * event of each shard arrives once, in order. `positions` has the last position of each shard.
 */
export class Subscriber {
  readonly positions: number[]
  #stream: SubscribedStream | null = null

  constructor(
    private readonly service: TestService,
    private readonly traffic: Traffic,
    private readonly timings: Timings,
  ) {
    this.positions = new Array<number>(service.shards).fill(-1)
  }

  async run(): Promise<void> {
    while (!this.traffic.isOver()) {
      await this.#subscribe().catch(() => {
        // The stream was interrupted or refused: subscribe again.
      })
      await Bun.sleep(RETRY_MS)
    }
  }

  /** Opens one stream after the other, and closes each after its first block. */
  async open(): Promise<void> {
    while (!this.traffic.isOver()) {
      const query = this.traffic.random.pick(['shard=0', 'shard=all', 'shard=all&after=0/0'])
      const stream = await this.#open(query).catch(() => null)
      stream?.cut()
      await Bun.sleep(this.traffic.random.below(10 * RETRY_MS))
    }
  }

  stop(): void {
    this.#stream?.cut()
  }

  async #open(query: string): Promise<SubscribedStream> {
    const onOpened = this.timings.beginKind('stream', `GET /audit/events?${query}`)
    try {
      const stream = await SubscribedStream.open(this.service, query)
      await stream.nextOrKeepAlive()
      onOpened(200)
      return stream
    } catch (error) {
      onOpened(0)
      const { message } = error as Error
      if (!isRefusal(Number.parseInt(message, 10)))
        this.traffic.history.violate(`stream: ${message}`)
      throw error
    }
  }

  async #subscribe(): Promise<void> {
    const after = this.positions.map((position, shard) => `${shard}/${position}`).join(',')
    const stream = await this.#open(`shard=all&after=${after}`)
    this.#stream = stream
    for (let block = await stream.next(); block !== null; block = await stream.next()) {
      if (block.data !== undefined) this.#note(JSON.parse(block.data))
    }
  }

  #note({ shard, position }: { shard: number; position: number }): void {
    const last = this.positions[shard]!
    if (position !== last + 1) {
      this.traffic.history.violate(`the stream has ${shard}/${position} after ${shard}/${last}`)
    }
    this.positions[shard] = position
  }
}
