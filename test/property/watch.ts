import { expect } from 'bun:test'
import type { TestService } from '../support/service.ts'
import { toAnswer } from './exact.ts'

/** What is known of the flushes while they are in flight. */
export type Bounds = {
  /** Requests that groups count, in all flushes sent and in those answered. */
  attempted: bigint
  acknowledged: bigint
  /** Positions of the answered flushes: `0/41`. */
  positions: string[]
}

/** A summary that was read: its total, and the position of each shard that it reflects. */
export type Reading = { total: bigint; positions: number[] }

/**
 * Reads the summary repeatedly, one read at a time, and compares each with earlier reads and with
 * what was sent and answered.
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
    // `stop` reports the error.
    this.#running.catch(() => {})
  }

  /** Stops after the current read and returns all readings; throws if one was wrong. */
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

/** Expects each total to be the exact sum of the events through the positions that it reflects. */
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
