import { expect, test } from 'bun:test'
import { countFlushes } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

const LIMIT = 4_096
const PATHS: [method: 'POST' | 'PUT', path: string, role: 'dp' | 'admin', json: string][] = [
  ['POST', '/internal/apikey-stats/flush', 'dp', '{"keys":[]}'],
  ['POST', '/internal/stats/flush', 'dp', '{"keys":[]}'],
  ['PUT', '/admin/catalog', 'admin', '{"api_keys":[]}'],
]

const service = useService({ bodyLimitBytes: LIMIT })

/** The same body sent with its length, and in chunks. */
const forms: [name: string, bodyOf: (text: string) => RequestInit['body']][] = [
  ['with Content-Length', (text) => text],
  [
    'in chunks',
    (text) =>
      new ReadableStream({
        start(controller) {
          const bytes = new TextEncoder().encode(text)
          for (let i = 0; i < bytes.length; i += 1_000) {
            controller.enqueue(bytes.subarray(i, i + 1_000))
          }
          controller.close()
        },
      }),
  ],
]

for (const [method, path, role, json] of PATHS) {
  for (const [name, bodyOf] of forms) {
    const send = (text: string) => service.fetch(role, path, { method, body: bodyOf(text) })

    test(`${path} accepts a body of exactly the limit ${name}`, async () => {
      expect((await send(json.padEnd(LIMIT))).status).toBe(200)
    })

    test(`${path} refuses one byte more ${name} with 413 and stores nothing`, async () => {
      const flushes = await countFlushes(service.database.owner)
      for (const text of [
        json.padEnd(LIMIT + 1),
        json.padEnd(LIMIT * 100),
        'x'.repeat(LIMIT + 1),
      ]) {
        await expectProblem(await send(text), 413, 'request body too large')
      }
      expect(await countFlushes(service.database.owner)).toBe(flushes)
    })
  }
}

test('the limit counts bytes, not characters', async () => {
  const body = `{"keys":[],"more":"${'é'.repeat(LIMIT / 2)}"}`
  expect(body.length).toBeLessThan(LIMIT)
  for (const [, bodyOf] of forms) {
    const init = { method: 'POST', body: bodyOf(body) }
    const response = await service.fetch('dp', '/internal/stats/flush', init)
    await expectProblem(response, 413, 'request body too large')
  }
})

test('a character split between two chunks is decoded correctly', async () => {
  await service.putCatalog({ keys: [{ token_hash: 'ké' }] })
  const bytes = new TextEncoder().encode('{"keys":[{"token_hash":"ké","requests":1}]}')
  const body = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(new Uint8Array([byte]))
      controller.close()
    },
  })
  const response = await service.fetch('dp', '/internal/stats/flush', { method: 'POST', body })
  expect(await response.json()).toEqual({ updated: 1 })
})
