import { expect, test } from 'bun:test'
import { Admission } from '../../src/http/admission.ts'

// Flushes of gateways that post many at once; admission.db.test.ts has the limits of reads and changes.

const SMALL = 1_000
const LARGE = 20_000

/** Begins flushes of a token that last until `end`; `begun` counts those that have begun. */
function post(admission: Admission, token: string, bytes: number, count: number) {
  const ends: (() => void)[] = []
  const append = () => new Promise<void>((resolve) => ends.push(resolve))
  const request = new Request('http://localhost/')
  const flushes = Array.from({ length: count }, () =>
    admission.admitFlush(token, request, bytes, append),
  )
  return {
    get begun() {
      return ends.length
    },
    /** Ends the flushes as they begin. */
    end: async () => {
      let ended = 0
      while (ended < count) {
        ends[ended]?.()
        if (ended < ends.length) ended++
        await Promise.resolve()
      }
      await Promise.all(flushes)
    },
  }
}

test('a token that posts flushes alone waits for nothing', async () => {
  const admission = new Admission()
  const [small, large] = [post(admission, 'a', SMALL, 500), post(admission, 'a', LARGE, 500)]
  expect([small.begun, large.begun]).toEqual([500, 500])
  await Promise.all([small.end(), large.end()])
})

test('while several tokens post flushes, each has its slots, and fewer for large ones', async () => {
  const admission = new Admission()
  const alone = post(admission, 'a', SMALL, 300)
  const other = post(admission, 'b', SMALL, 1)
  expect([alone.begun, other.begun]).toEqual([300, 1])
  const [small, large] = [post(admission, 'a', SMALL, 300), post(admission, 'a', LARGE, 300)]
  expect([small.begun, large.begun]).toEqual([16, 2])
  // They keep no slot from the other token.
  const others = [post(admission, 'b', SMALL, 15), post(admission, 'b', LARGE, 2)]
  expect(others.map(({ begun }) => begun)).toEqual([15, 2])
  await Promise.all([alone, other, small, large, ...others].map((posted) => posted.end()))
  expect([small.begun, large.begun]).toEqual([300, 300])
})
