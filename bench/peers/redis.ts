import { RedisClient } from 'bun'
import { groupOf } from '../workload.ts'
import type { Storage } from './storage.ts'

/**
 * Counters in Redis: one pipelined HINCRBY for each counter of a key and of a group. A flush is
 * answered when Redis has answered all of them. Nothing recognizes a flush that is sent twice.
 */
export async function redis(url: string): Promise<Storage> {
  const client = new RedisClient(url)
  await client.connect()
  return {
    append: async ({ ids, requests, successes }) => {
      const groups = new Map<number, { requests: number; successes: number }>()
      const answers: Promise<unknown>[] = []
      const increment = (name: string, id: number, by: number) => {
        answers.push(client.send('HINCRBY', [name, String(id), String(by)]))
      }
      for (const [i, id] of ids.entries()) {
        increment('key_requests', id, requests[i]!)
        increment('key_successes', id, successes[i]!)
        const group = groups.get(groupOf(id)) ?? { requests: 0, successes: 0 }
        groups.set(groupOf(id), group)
        group.requests += requests[i]!
        group.successes += successes[i]!
      }
      for (const [id, group] of groups) {
        increment('group_requests', id, group.requests)
        increment('group_successes', id, group.successes)
      }
      await Promise.all(answers)
    },
  }
}
