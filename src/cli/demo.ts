import { UserError } from '../platform/user-error.ts'
import { type Client, connectToService } from './client.ts'
import { API_KEYS, KEYS, loadAt, PROVIDERS, random } from './gateway.ts'
import { countApiKeys, countKeys, type Interval } from './gateway-usage.ts'
import { LLM_CONVENTIONS } from './llm-conventions.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = 'Usage: tallybook demo [http://host:port]'

const PROXIES = 3
const HOUR_S = 3_600
const DAY_S = 24 * HOUR_S
/** A flush of the demo stands for many: every proxy posts one for each five minutes. */
const FLUSH_INTERVAL_S = 300
const FLUSHES = DAY_S / FLUSH_INTERVAL_S
/** Requests per second that a proxy serves in the busiest minute. */
const BUSIEST_RATE = 2
/** When a provider is down, in seconds before now. */
const OUTAGE_S = { from: 5 * HOUR_S, to: 4 * HOUR_S }

/**
 * Fills a new, running service with the data of a plausible gateway for language models: five
 * provider groups, forty API keys, and the flushes of three proxies in the last 24 hours, with some
 * failures and one outage.
 */
export async function demo(args: string[]): Promise<void> {
  if (args.length > 1) throw new UserError(USAGE)
  const { url, send } = await connectToService(['admin', 'dp'], args[0])

  const { items } = await send<Page>('admin', 'GET', '/admin/provider-groups?limit=1')
  const { total_requests } = await send<{ total_requests: number }>('admin', 'GET', SUMMARY)
  if (items.length > 0 || total_requests > 0) {
    throw new UserError(`The service at ${url} already has a catalog or counts: nothing was sent.`)
  }

  await send('admin', 'PUT', '/admin/catalog', {
    provider_groups: PROVIDERS.map(({ id, name }) => ({ id, name })),
    api_keys: API_KEYS,
    keys: KEYS,
    ...LLM_CONVENTIONS,
  })
  const started = performance.now()
  const now = Math.floor(Date.now() / 1_000)
  await Promise.all(Array.from({ length: PROXIES }, (_, proxy) => flushADay(send, now, proxy)))
  const seconds = ((performance.now() - started) / 1_000).toFixed(1)
  console.log(`${PROXIES * FLUSHES * 2} flushes in ${seconds} s. The totals are now:`)
  console.log(JSON.stringify(await send('admin', 'GET', SUMMARY)))
}

type Page = { items: unknown[] }
const SUMMARY = '/admin/apikey-stats/summary'

/** Sends one proxy's flushes of the 24 hours until `now`, one after another, and numbers them. */
async function flushADay(send: Client<'dp'>['send'], now: number, proxy: number): Promise<void> {
  const chance = random(proxy + 1)
  let sent = 0
  const post = (path: string, body: object) => {
    const isLast = sent === 2 * FLUSHES - 1
    const sequence = `proxy-${proxy + 1}/${sent++}${isLast ? ';last' : ''}`
    return send('dp', 'POST', path, body, { 'tallybook-sequence': sequence })
  }
  for (let left = FLUSHES - 1; left >= 0; left--) {
    const ageS = left * FLUSH_INTERVAL_S
    const counted_at = now - ageS
    const load = loadAt((counted_at % DAY_S) / HOUR_S)
    const interval: Interval = {
      requests: Math.round(load * BUSIEST_RATE * FLUSH_INTERVAL_S),
      load,
      isOutage: ageS < OUTAGE_S.from && ageS >= OUTAGE_S.to,
    }
    await post('/internal/apikey-stats/flush', {
      counted_at,
      keys: countApiKeys(interval, chance),
    })
    await post('/internal/stats/flush', {
      counted_at,
      keys: countKeys(interval, counted_at, chance),
    })
  }
}
