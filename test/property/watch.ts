import { expect } from 'bun:test'
import type { TestService } from '../support/service.ts'
import { toAnswer } from './exact.ts'

/** What is known of the flushes so far, while they are on their way. */
export type Bounds = {
  /** Requests that groups count of all flushes that were sent, and of those answered. */
  attempted: bigint
  acknowledged: bigint
  /** Where the answered ones stand: `0/41`. */
  positions: string[]
}

/** A summary that was read: its total, and the position in each shard that it said to reflect. */
export type Reading = { total: bigint; positions: number[] }

/**
 * Reads the summary again and again, one read after another, and compares each with the reads before
 * it and with what was sent and answered meanwhile.
 */
export class Watch {
  readonly #readings: Reading[] = []
  #stopped = false
  readonly #running: Promise<void>

  constructor(
    private readonly service: TestService,
    private readonly consistency: 'strong' | 'eventual',
    private readonly bounds: Bounds,
  ) {
    this.#running = this.#run()
    // Told to whoever stops it.
    this.#running.catch(() => {})
  }

  /** Ends after the read under way and gives what was read; throws what was found wrong. */
  async stop(): Promise<Reading[]> {
    this.#stopped = true
    await this.#running
    return this.#readings
  }

  async #run(): Promise<void> {
    const query = this.consistency === 'eventual' ? '?consistency=eventual' : ''
    let total = 0n
    let reflected: number[] = []
    while (!this.#stopped) {
      const { acknowledged } = this.bounds
      const answered = this.bounds.positions.length
      const response = await this.service.fetch('admin', `/admin/apikey-stats/summary${query}`)
      const { status, body, positions } = await toAnswer(response)
      expect(status).toBe(200)
      const read = (body as { total_requests: bigint }).total_requests
      const at = positions!.split(',').map((part) => Number(part.split('/')[1]))

      expect(read).toBeGreaterThanOrEqual(total)
      expect(at.every((position, shard) => position >= (reflected[shard] ?? -1))).toBe(true)
      expect(read).toBeLessThanOrEqual(this.bounds.attempted)
      if (this.consistency === 'strong') {
        expect(read).toBeGreaterThanOrEqual(acknowledged)
        for (const position of this.bounds.positions.slice(0, answered)) {
          const [shard, own] = position.split('/').map(Number)
          expect(at[shard!]).toBeGreaterThanOrEqual(own!)
        }
      }
      total = read
      reflected = at
      this.#readings.push({ total, positions: at })
    }
  }
}

/** Each read has the very sum of the events up to the positions that it named, no more and no less. */
export function compareReadings(
  readings: Reading[],
  posted: { at?: string; requests: bigint }[],
): void {
  const events = posted.map(({ at, requests }) => {
    const [shard, position] = at!.split('/').map(Number)
    return { shard: shard!, position: position!, requests }
  })
  for (const { total, positions } of readings) {
    const reflected = events.filter(({ shard, position }) => position <= positions[shard]!)
    expect(total).toBe(reflected.reduce((sum, { requests }) => sum + requests, 0n))
  }
}
