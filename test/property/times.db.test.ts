import { beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { useService } from '../support/service.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'

const runs = runsOf(200)
const EVENTS = 120

type Event = { shard: number; position: number; recorded_at: string }

const service = useService()
/** All events in the order of their times. */
let events: Event[]

beforeAll(async () => {
  for (let i = 0; i < EVENTS; i += 8) {
    const post = () => service.post('/internal/apikey-stats/flush', null)
    await Promise.all(Array.from({ length: 8 }, post))
  }
  events = (await readEvents('')).toSorted((a, b) => (a.recorded_at < b.recorded_at ? -1 : 1))
})

const readEvents = async (query: string) =>
  (await service.read<{ items: Event[] }>(`/audit/events?shard=all&limit=1000${query}`)).items

/** Writes the same time in another zone. */
function spell(recordedAt: string, offsetHours: number): string {
  const shifted = new Date(Date.parse(recordedAt) + offsetHours * 3_600_000).toISOString()
  const fraction = /\.\d+/.exec(recordedAt)![0]
  const zone = `${offsetHours < 0 ? '-' : '+'}${String(Math.abs(offsetHours)).padStart(2, '0')}:00`
  return `${shifted.slice(0, 19)}${fraction}${zone}`
}

const spelledTime = fc.record({
  i: fc.nat(EVENTS - 1),
  offsetHours: fc.constantFrom(0, 1, -8, 14, -23, 23),
})

test(
  `from (inclusive) and to (exclusive) select by the microsecond, in any zone, in ${runs} runs`,
  async () => {
    expect(events.length).toBe(EVENTS)
    const property = fc.asyncProperty(spelledTime, spelledTime, async (from, to) => {
      const [first, last] = [from, to].map(({ i }) => events[i]!.recorded_at) as [string, string]
      const lower = encodeURIComponent(spell(first, from.offsetHours))
      const upper = encodeURIComponent(spell(last, to.offsetHours))
      const selected = events.filter(
        (event) => event.recorded_at >= first && event.recorded_at < last,
      )
      const byPlace = (a: Event, b: Event) => a.shard - b.shard || a.position - b.position
      expect((await readEvents(`&from=${lower}&to=${upper}`)).toSorted(byPlace)).toEqual(
        selected.toSorted(byPlace),
      )
    })
    await fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs),
)
