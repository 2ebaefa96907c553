/**
 * A long campaign of faults: `bun run faults [--seed N] [--seconds N] [--shards N]`. Prints what was
 * done and found as JSON; exits with 1 where anything was.
 */
import { parseArgs } from 'node:util'
import { runCampaign } from './campaign.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    seconds: { type: 'string', default: '600' },
    shards: { type: 'string', default: '1' },
    instances: { type: 'string', default: '2' },
    posters: { type: 'string', default: '12' },
  },
})

const report = await runCampaign({
  seed: Number(values.seed),
  seconds: Number(values.seconds),
  shards: Number(values.shards),
  instances: Number(values.instances),
  posters: Number(values.posters),
  lostAnswers: 0.01,
})
console.log(JSON.stringify(report, null, 1))
process.exit(report.violations.length > 0 ? 1 : 0)
