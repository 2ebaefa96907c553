import { parseArgs } from 'node:util'
import pino from 'pino'
import { Collector } from '../collect/collector.ts'
import { readCollectConfig } from '../collect/config.ts'
import { Metrics } from '../collect/metrics.ts'
import { Puller } from '../collect/pull/puller.ts'
import { startServer } from '../collect/server.ts'
import { optionOf, SETTING_NAMES, SETTINGS, type Setting } from '../collect/settings.ts'
import { UserError } from '../platform/user-error.ts'
import { untilInterrupted } from './interrupt.ts'
import { LLM_CONVENTIONS } from './llm-conventions.ts'

const LONGEST_OPTION = Math.max(...SETTING_NAMES.map((name) => name.length))

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = [
  'Usage: tallybook collect [--config <file>] [options]',
  'Each option is also a line of the file, with _ for -, and a variable TALLYBOOK_COLLECT_….',
  ...SETTING_NAMES.map((name) => {
    const { default: value, meaning }: Setting = SETTINGS[name]
    const option = `--${optionOf(name)}`.padEnd(LONGEST_OPTION + 4)
    return `  ${option}${meaning}${value === null ? '' : ` (${value})`}`
  }),
].join('\n')

/** Time in milliseconds in which a collector that is stopped sends what it has. */
const CLOSE_MS = 10_000

/** Accepts the records of gateways and posts what they count, until a stop signal. */
export async function collect(args: string[]): Promise<void> {
  const { config: path, ...options } = readOptions(args)
  const config = readCollectConfig(path ?? null, options, process.env, {
    dimensions: LLM_CONVENTIONS.dimensions.map(({ name }) => name),
    measures: LLM_CONVENTIONS.measures.map(({ name }) => name),
  })
  const stopping = untilInterrupted()
  const logger = pino(pino.destination({ dest: 2, sync: true }))
  const collector = await Collector.open({
    ...{ url: config.url, token: config.dpToken, directory: config.directory },
    ...(config.instance !== null && { instance: config.instance }),
    ...{ keepIdsSeconds: config.keepIdsSeconds, commitMs: config.commitMs },
    onError: (error) => logger.warn({ error: String(error) }, 'will be tried again'),
    onRejected: (rejected) => logger.error(rejected, 'the service refused a flush, which is kept'),
    onPause: (reason) =>
      reason === null
        ? logger.info('the service accepts flushes again')
        : logger.error(reason, 'the service refuses this collector: records are kept'),
  }).catch((error: Error) => {
    throw new UserError(`${config.directory} can't be used: ${error.message}`)
  })
  const shared = {
    ...{ target: config.target, collector, metrics: new Metrics() },
    onMalformed: (input: string, reason: string) =>
      logger.warn({ input, reason }, 'malformed records'),
  }
  const server = startServer({ ...config, ...shared })
  const pullers = config.pulls.map((pull) => {
    const onError = (error: unknown) =>
      logger.warn({ source: pull.name, error: String(error) }, 'will be read again')
    return new Puller({ ...pull, ...shared, onError })
  })
  console.log(`Tallybook collect listens on ${server.url.origin} and posts to ${config.url}`)
  await new Promise((resolve) => stopping.addEventListener('abort', resolve, { once: true }))
  console.log('Stopping')
  await Promise.all([server.stop(), ...pullers.map((puller) => puller.stop())])
  const { flushes } = await collector.close(CLOSE_MS)
  if (flushes > 0) console.log(`${flushes} flushes are kept for the next start.`)
  process.exit(0)
}

function readOptions(args: string[]) {
  const names = ['config' as const, ...SETTING_NAMES]
  try {
    const { values } = parseArgs({
      args,
      options: Object.fromEntries(
        names.map((name) => [name.replaceAll('_', '-'), { type: 'string' as const }]),
      ),
    })
    const given = names.map((name) => [name, values[name.replaceAll('_', '-')]])
    return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as Partial<
      Record<(typeof names)[number], string>
    >
  } catch (error) {
    throw new UserError(`${(error as Error).message}\n${USAGE}`)
  }
}
