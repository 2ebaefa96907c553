import { beforeAll, describe, expect, test } from 'bun:test'
import { parseVerifierKey } from '../../src/proofs/merkle/key.ts'
import { openReceipt } from '../../src/proofs/verifier/receipt.ts'
import { expectProblem } from '../support/problem.ts'
import { startTestService, useService } from '../support/service.ts'

const FLUSH = { keys: [{ api_key_id: 7, requests: 10, success_requests: 9 }] }

const service = useService()
beforeAll(async () => {
  await service.putCatalog({ api_keys: [{ id: 7 }] })
})

/** Opens a receipt with nothing but the public keys. Returns its event. */
async function open(text: string) {
  const keys = await (await service.fetch('auditor', '/audit/log/keys')).text()
  const opened = openReceipt(
    text,
    keys
      .trim()
      .split('\n')
      .map((key) => parseVerifierKey(key)!),
  )
  if (opened.kind === 'refused') throw new Error(opened.reason)
  return opened.event
}

describe('receipts', () => {
  const ask = (position: string | null) => service.post('/internal/receipts', { position })

  test('prove to the client that posted a flush what was recorded', async () => {
    const posted = await service.post('/internal/apikey-stats/flush', FLUSH)
    const position = posted.headers.get('tallybook-position')!
    const response = await ask(position)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-disposition')).toContain('.tlog-proof"')
    const event = await open(await response.text())
    expect(`${event.shard}/${event.position}`).toBe(position)
    expect(JSON.parse(event.payload)).toMatchObject({ ids: [7], requests: [10], failures: [1] })
  })

  test('are refused to other tokens and for positions without a flush', async () => {
    const { token } = (await (
      await service.fetch('admin', '/admin/tokens', {
        method: 'POST',
        body: JSON.stringify({ name: 'other-dp', role: 'dp' }),
      })
    ).json()) as { token: string }
    const posted = await service.post('/internal/apikey-stats/flush', FLUSH)
    const position = posted.headers.get('tallybook-position')!
    const refused = await fetch(`${service.url}/internal/receipts`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ position }),
    })
    await expectProblem(refused, 404, 'not found')
    for (const missing of ['0/0', '0/999999', '9999/0']) {
      await expectProblem(await ask(missing), 404, 'not found')
    }
  })

  test.each([null, '', '0', '0/-1', '0/1,0/2', '0/1 '])(
    'for the position %p are refused as malformed',
    async (position) => {
      await expectProblem(await ask(position), 400, 'invalid request body')
    },
  )

  test('for any event can be downloaded by an auditor', async () => {
    const posted = await service.post('/internal/apikey-stats/flush', FLUSH)
    const position = posted.headers.get('tallybook-position')!
    const path = `/audit/events/${position}/tlog-proof`
    const text = await (await service.fetch('auditor', path)).text()
    expect(`${(await open(text)).position}`).toBe(position.split('/')[1]!)
    expect((await service.fetch('auditor', '/audit/events/0/999999/tlog-proof')).status).toBe(404)
  })
})

describe('a public log', () => {
  const PUBLIC = [
    '/audit/log/keys',
    '/audit/log/0/checkpoint',
    '/audit/log/0/tile/0/000.p/1',
    '/audit/log/0/tile/entries/000.p/1',
    '/audit/proof/inclusion?position=0&tree_size=1',
    '/audit/proof/consistency?from=0&to=1',
  ]

  test('requires a token by default', async () => {
    for (const path of PUBLIC) expect((await service.fetch(null, path)).status).toBe(401)
  })

  test('can be read without a token, except for its events', async () => {
    const open = await startTestService({ logPublic: true })
    await open.putCatalog({ api_keys: [{ id: 7 }] })
    for (;;) {
      const tile = await open.fetch(null, '/audit/log/0/tile/0/000.p/1')
      if (tile.status === 200) break
      await Bun.sleep(50)
    }
    for (const path of PUBLIC) {
      expect([path, (await open.fetch(null, path)).status]).toEqual([path, 200])
    }
    const tile = await open.fetch(null, '/audit/log/0/tile/0/000.p/1')
    expect(tile.headers.get('cache-control')).toStartWith('public,')
    for (const path of ['/audit/events', '/audit/events/0/0', '/audit/events/0/0/tlog-proof']) {
      expect([path, (await open.fetch(null, path)).status]).toEqual([path, 401])
    }
    await open.end()
  })
})
