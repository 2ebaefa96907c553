/**
 * Posts flushes, many at once, from its own process. Prints REFUSED at the first 503, and at the
 * end the count of each status as JSON. BUN_CONFIG_MAX_HTTP_REQUESTS must allow that many requests.
 * `bun test/faults/flood.ts <url> <keys per flush> <flushes> <at once>`
 */
import { TOKENS } from '../support/service.ts'

/** The line printed at the first 503. */
export const REFUSED = 'refused'

if (import.meta.main) await main()

async function main(): Promise<void> {
  const [url = '', keys = '', flushes = '', atOnce = ''] = Bun.argv.slice(2)
  const body = JSON.stringify({
    keys: Array.from({ length: Number(keys) }, (_, i) => ({ api_key_id: i + 1, requests: 1 })),
  })
  const statuses: Record<string, number> = {}
  let left = Number(flushes)

  async function post(): Promise<string> {
    try {
      const response = await fetch(`${url}/internal/apikey-stats/flush`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKENS.dp}` },
        body,
      })
      await response.text()
      return `${response.status}${response.headers.has('retry-after') ? ' with retry-after' : ''}`
    } catch (error) {
      return String((error as { code?: string }).code)
    }
  }

  async function postSome(): Promise<void> {
    while (left-- > 0) {
      const status = await post()
      if (status.startsWith('503') && !(status in statuses)) console.log(REFUSED)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
  }

  await Promise.all(Array.from({ length: Number(atOnce) }, postSome))
  console.log(JSON.stringify(statuses))
}
