import { expect } from 'bun:test'
import type { TestService } from './service.ts'

/**
 * Posts flushes of one request each for API key 1, with the idempotency keys `<name>-0`, `<name>-1`
 * and so on. Returns how many were replays.
 */
export async function postFlushes(
  service: TestService,
  name: string,
  count: number,
): Promise<number> {
  const keys = [{ api_key_id: 1, requests: 1 }]
  let replays = 0
  for (let i = 0; i < count; i++) {
    const headers = { 'idempotency-key': `${name}-${i}` }
    const response = await service.post('/internal/apikey-stats/flush', { keys }, headers)
    expect(response.status).toBe(200)
    if (response.headers.has('idempotency-replayed')) replays++
  }
  return replays
}

/** Reads the total requests of API key 1. */
export const readRequests = async (service: TestService) =>
  (await service.read<{ total_requests: number }>('/admin/api-keys/1')).total_requests
