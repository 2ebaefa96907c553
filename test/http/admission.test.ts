import { expect, test } from 'bun:test'
import { Admission } from '../../src/http/admission.ts'
import type { Problem } from '../../src/http/problem.ts'

// Flushes of gateways that post many at once; admission.db.test.ts has the limits of reads and changes.

const SMALL = 1_000
const LARGE = 20_000

const request = new Request('http://localhost/')

/** Begins flushes of a token that last until `end`; `begun` counts those that have begun. */
function post(admission: Admission, token: string, bytes: number, count: number) {
  const ends: (() => void)[] = []
  const append = () => new Promise<void>((resolve) => ends.push(resolve))
  const flushes = Array.from({ length: count }, () =>
    admission.admitFlush(token, request, bytes, append),
  )
  return {
    get begun() {
      return ends.length
    },
    /** Ends the flushes as they begin. */
    end: async () => {
      let isOver = false
      const all = Promise.all(flushes).finally(() => {
        isOver = true
      })
      for (let ended = 0; !isOver; await Bun.sleep(0)) {
        while (ended < ends.length) ends[ended++]!()
      }
      await all
    },
  }
}

test('a token that posts flushes alone waits for nothing', async () => {
  const admission = new Admission()
  const [small, large] = [post(admission, 'a', SMALL, 500), post(admission, 'a', LARGE, 500)]
  expect([small.begun, large.begun]).toEqual([500, 500])
  await Promise.all([small.end(), large.end()])
})

test('while several tokens post flushes, each has its slots, and large ones take several', async () => {
  const admission = new Admission()
  const alone = post(admission, 'a', SMALL, 300)
  const other = post(admission, 'b', SMALL, 1)
  expect([alone.begun, other.begun]).toEqual([300, 1])
  const small = post(admission, 'a', SMALL, 300)
  expect(small.begun).toBe(16)
  // They keep no slot from other tokens.
  const others = [post(admission, 'b', SMALL, 15), post(admission, 'c', LARGE, 300)]
  expect(others.map(({ begun }) => begun)).toEqual([15, 4])
  await Promise.all([alone, other, small, ...others].map((posted) => posted.end()))
  expect([small.begun, others[1]!.begun]).toEqual([300, 300])
})

test('a token of which 16 MiB wait gets 429, and no other token does', async () => {
  const admission = new Admission()
  const [first, other] = [post(admission, 'a', SMALL, 1), post(admission, 'b', SMALL, 1)]
  const large = post(admission, 'a', 200_000, 83)
  const refused = Promise.resolve(admission.admitFlush('a', request, 600_000, async () => {}))
  expect(await refused.catch(({ status }: Problem) => status)).toBe(429)
  const last = post(admission, 'b', 200_000, 1)
  expect(last.begun).toBe(1)
  await Promise.all([first, other, large, last].map((posted) => posted.end()))
  expect(await admission.admitFlush('a', request, 600_000, async () => 'appended')).toBe('appended')
})
