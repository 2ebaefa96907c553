import { UserError } from '../platform/user-error.ts'
import { type Client, connectToService } from './client.ts'
import { API_KEYS, failingAt, KEYS, loadAt, PROVIDERS, random } from './gateway.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = 'Usage: tallybook demo [http://host:port]'

/** Flush interval (s) of a data-plane proxy, and the number of proxies. */
const FLUSH_INTERVAL_S = 10
const PROXIES = 3
const FLUSHES = 3600 / FLUSH_INTERVAL_S
/** Requests per second that a proxy serves in the busiest minute. */
const BUSIEST_RATE = 40

/**
 * Fills a new, running service with the data of a plausible gateway: five provider groups, forty
 * API keys, and an hour of flushes from three proxies, with some failures and one outage.
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
  })
  const started = performance.now()
  await Promise.all(Array.from({ length: PROXIES }, (_, proxy) => flushAnHour(send, proxy)))
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${PROXIES * FLUSHES * 2} flushes in ${seconds} s. The totals are now:`)
  console.log(JSON.stringify(await send('admin', 'GET', SUMMARY)))
}

type Page = { items: unknown[] }
const SUMMARY = '/admin/apikey-stats/summary'

/** Sends one proxy's flushes of the last hour, one after another. */
async function flushAnHour(send: Client<'dp'>['send'], proxy: number): Promise<void> {
  const chance = random(proxy + 1)
  const began = Math.floor(Date.now() / 1000) - 3600
  for (let flush = 0; flush < FLUSHES; flush++) {
    const second = flush * FLUSH_INTERVAL_S
    const requests = Math.round(loadAt(second / 60) * BUSIEST_RATE * FLUSH_INTERVAL_S)
    await send('dp', 'POST', '/internal/apikey-stats/flush', {
      keys: countApiKeys(requests, second / 60, chance),
    })
    await send('dp', 'POST', '/internal/stats/flush', {
      keys: countKeys(requests, began + second, chance),
    })
  }
}

/** Spreads requests over the API keys by provider; `minute` of the hour decides how many fail. */
export function countApiKeys(requests: number, minute: number, chance: () => number) {
  return API_KEYS.flatMap(({ id, group_id }) => {
    const share = PROVIDERS[group_id - 1]!.share / (API_KEYS.length / PROVIDERS.length)
    const count = Math.floor(requests * share * 2 * chance() + chance())
    if (count === 0) return []
    let failed = 0
    for (let i = 0; i < count; i++) if (chance() < failingAt(group_id, minute)) failed++
    return [{ api_key_id: id, requests: count, success_requests: count - failed }]
  })
}

/** Spreads requests over the token keys, last accessed at this Unix second. */
export function countKeys(requests: number, at: number, chance: () => number) {
  return KEYS.flatMap(({ token_hash }) => {
    const count = Math.floor((requests / KEYS.length) * 2 * chance())
    if (count === 0) return []
    const tokens = Math.floor(count * (200 + 1_200 * chance()))
    return [{ token_hash, requests: count, tokens, last_accessed_at: at }]
  })
}
