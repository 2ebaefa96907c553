import { expect, test } from 'bun:test'
import { BodyReader } from '../../src/http/body.ts'
import type { Problem } from '../../src/http/problem.ts'

// Large bodies share a budget of bytes, which a client that announces much and sends little does
// not use up.

const LIMIT = 4 * 1024 * 1024
const SLOWEST = { afterMs: 100, bytesPerMs: 1_000_000 }

/** A body that sends `bytes` bytes and then nothing until `end` is called. */
function stalled(bytes: number) {
  const { promise, resolve } = Promise.withResolvers<void>()
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(new Uint8Array(bytes).fill(0x20))
      await promise
      controller.close()
    },
  })
  return { body, end: resolve }
}

const request = (body: ReadableStream<Uint8Array> | string, headers: Record<string, string> = {}) =>
  new Request('http://x/', { method: 'POST', body, headers })

const statusOf = async (reading: Promise<string> | string) =>
  Promise.resolve(reading).then(
    () => 200,
    (problem: Problem) => problem.status,
  )

const WHOLE = ' '.repeat(LIMIT)

test('bytes that are announced but not sent do not count towards the limit', async () => {
  const bodies = new BodyReader(LIMIT)
  const announced = Array.from({ length: 64 }, () => stalled(10))
  const headers = { 'content-length': String(LIMIT) }
  const reading = announced.map(({ body }) => bodies.read(request(body, headers), 'one'))
  expect(await statusOf(bodies.read(request(WHOLE), 'other'))).toBe(200)
  expect(await statusOf(bodies.read(request(WHOLE), 'one'))).toBe(200)
  for (const { end } of announced) end()
  await Promise.all(reading)
})

test('one client gets a quarter of the budget, and others the rest', async () => {
  const bodies = new BodyReader(LIMIT)
  const held = Array.from({ length: 4 }, () => stalled(LIMIT))
  const reading = held.map(({ body }) => bodies.read(request(body), 'one'))
  await Bun.sleep(0)
  await until(async () => (await statusOf(bodies.read(request(WHOLE), 'one'))) === 429)
  expect(await statusOf(bodies.read(request(WHOLE), 'other'))).toBe(200)
  for (const { end } of held) end()
  await Promise.all(reading)
  expect(await statusOf(bodies.read(request(WHOLE), 'one'))).toBe(200)
})

test('a large body that stalls gets 408 and releases its bytes', async () => {
  const bodies = new BodyReader(LIMIT, { slowest: SLOWEST })
  for (let round = 0; round < 3; round++) {
    const held = Array.from({ length: 4 }, () => stalled(LIMIT))
    const reading = held.map(({ body }) => statusOf(bodies.read(request(body), 'one')))
    expect(await Promise.all(reading)).toEqual([408, 408, 408, 408])
  }
  const announced = stalled(10)
  const headers = { 'content-length': String(512 * 1024) }
  expect(await statusOf(bodies.read(request(announced.body, headers), 'one'))).toBe(408)
  expect(await statusOf(bodies.read(request(WHOLE), 'one'))).toBe(200)
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await Bun.sleep(5)
}
