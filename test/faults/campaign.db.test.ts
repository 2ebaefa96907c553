import { expect, test } from 'bun:test'
import { isFull } from '../support/full.ts'
import { runCampaign } from './campaign.ts'

// A few seconds each; `bun run faults` runs longer. Add a row for a seed that has failed.
const SECONDS = isFull ? 12 : 3

// Faults find requests in progress without posting as fast as possible.
const PAUSE_MS = isFull ? 0 : 15

test.each([
  { seed: 1, shards: 1, instances: 1 },
  ...(isFull ? [{ seed: 2, shards: 1, instances: 2 }] : []),
  { seed: 3, shards: 4, instances: 2 },
])('no flush is lost or counted twice, whatever breaks: %o', async (options) => {
  const traffic = { posters: 5, pauseMs: PAUSE_MS, lostAnswers: 0.02 }
  const report = await runCampaign({ ...options, ...traffic, seconds: SECONDS })
  expect(report.violations).toEqual([])
  expect([report.lost, report.doubled]).toEqual([0, 0])
  expect(report.counts.acked).toBeGreaterThan(0)
  expect(report.counts.adopted).toBeGreaterThan(0)
  expect(report.counts.reset).toBeGreaterThan(0)
  // Two inconsistent heads would be among the violations.
  expect(report.heads).toBeGreaterThan(1)
})
