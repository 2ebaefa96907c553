/**
 * A long campaign of faults: `bun run faults [--seed N] [--seconds N] [--shards N]`. Prints what was
 * done and found as JSON; exits with 1 where anything was. With `--network` the network fails in
 * every way, or in the one of `--fault`, each time for 20 s or `--seconds`; prints a row for each.
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
  const isWell = await runNetworkCampaigns(
    Number(values.seed),
    Number(values.seconds ?? 20),
    values.fault,
  )
  process.exit(isWell ? 0 : 1)
}

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
