/**
 * Runs a long campaign of faults: `bun run faults [--seed N] [--seconds N] [--shards N]`. Prints a
 * report as JSON and exits with 1 if there are violations. `--network` runs every network fault, or
 * the one named by `--fault`, for 20 s or `--seconds` each, and prints a row for each.
 */
import { parseArgs } from 'node:util'
import { runCampaign } from './campaign.ts'
import { runNetworkCampaigns } from './network-main.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    seconds: { type: 'string' },
    network: { type: 'boolean', default: false },
    fault: { type: 'string' },
    shards: { type: 'string', default: '1' },
    instances: { type: 'string', default: '2' },
    posters: { type: 'string', default: '12' },
  },
})

if (values.network) {
  const hasPassed = await runNetworkCampaigns(
    Number(values.seed),
    Number(values.seconds ?? 20),
    values.fault,
  )
  process.exit(hasPassed ? 0 : 1)
}

console.error(`seed ${values.seed}`)
const report = await runCampaign({
  seed: Number(values.seed),
  seconds: Number(values.seconds ?? 600),
  shards: Number(values.shards),
  instances: Number(values.instances),
  posters: Number(values.posters),
  lostAnswers: 0.01,
})
console.log(JSON.stringify(report, null, 1))
process.exit(report.violations.length > 0 ? 1 : 0)
