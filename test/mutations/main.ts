/**
 * Proves that the tests catch faults: makes one mutation of src or sql after the other in a copy
 * of the tree, and finds a test that fails: `bun run mutations [--only NAME]… [--workers N]
 * [--list]`. `--no-baseline` skips the run of the unchanged tree. Writes its rows of the table in
 * docs/measurements/mutations.md, except with `--nearest`, which runs only the tests that the
 * mutations name. Exits with 1 if no test catches more than MAX_MISSED of them.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { copyTrees, type Result, runBaseline, runMutations } from './campaign.ts'
import { MUTATIONS } from './list.ts'
import { countMissed, writeDocument } from './report.ts'

/** How many of all mutations may go uncaught; with `--only`, none may. */
const MAX_MISSED = 2

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      workers: { type: 'string', default: '1' },
      list: { type: 'boolean', default: false },
      baseline: { type: 'boolean', default: true },
      nearest: { type: 'boolean', default: false },
    },
    allowNegative: true,
  })
  const { only } = values
  const chosen = only ? MUTATIONS.filter(({ name }) => only.includes(name)) : MUTATIONS
  if (chosen.length === 0) throw new Error(`No mutation is called ${only?.join(' or ')}.`)
  if (values.list) {
    for (const { name, file, harm } of chosen) console.log(`${name} (${file}): ${harm}`)
    return 0
  }
  const folder = await mkdtemp(join(tmpdir(), 'tb-mutations-'))
  // As root some tests run the service as another user, which must be able to read the tree.
  await chmod(folder, 0o755)
  const trees = await copyTrees(folder, Number(values.workers))
  try {
    const failing = values.baseline ? await runBaseline(trees[0]!, chosen) : null
    if (failing !== null) {
      console.error(`A test fails without a mutation: ${failing.test}: ${failing.message}`)
      return 1
    }
    const results = await runMutations(trees, chosen, !values.nearest, print)
    if (!values.nearest) await writeDocument(results)
    const missed = countMissed(results)
    console.log(`\n${results.length - missed} of ${results.length} mutations caught`)
    return missed > (only ? 0 : MAX_MISSED) ? 1 : 0
  } finally {
    for (const tree of trees) await tree.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function print({ mutation, caughtBy, seconds }: Result): void {
  const what = caughtBy === null ? 'NOT CAUGHT' : `${caughtBy.test}\n  ${caughtBy.message}`
  console.log(`${mutation.name} (${seconds} s): ${what}`)
}

process.exit(await main())
