import { readFile, stat } from 'node:fs/promises'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { UserError } from '../platform/user-error.ts'
import {
  ALL_USAGE,
  Audit,
  type AuditReport,
  type LogSource,
  openHttpSource,
  parseKeys,
  SourceError,
  TokenNeeded,
} from '../proofs/verifier/index.ts'
import { openArchiveSource } from '../proofs/verifier/sources/archive.ts'
import { openReshardedSource } from '../proofs/verifier/sources/resharded.ts'
import { ageOf, Findings, toPlain, toPlainLines } from './audit-output.ts'
import { type AuditState, readState, writeState } from './audit-state.ts'
import { Interrupted, untilInterrupted } from './interrupt.ts'
import { Progress } from './progress.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = `Usage: tallybook audit <url of a service | archive directory> [options]
  --key <verifier key>   a trusted key; may be repeated. Default: the log's own, on first use
  --state <file>         stores keys and verified heads from one audit to the next
  --token-file <file>    an auditor's token. Default: TALLYBOOK_AUDITOR_TOKEN, else public data only
  --receipt <file>       a .tlog-proof to verify; may be repeated
  --archive <directory>  the old log, if its events were resharded into this one
  --max-age <seconds>    report a finding if the newest event is older
  --all-usage            compare the usage of every row, not of a random 1,000 of each kind
  --heads-only           verify only the signatures and consistency of the tree heads
  --follow               keep running, and audit new events every --every seconds (1)
  --json                 print JSON`

/** Exit codes: no findings; findings; not audited. */
const EXIT = { clean: 0, found: 1, failed: 2 }

/** Verifies a log from the outside: a running service's, or an archive's without a service. */
export async function audit(args: string[]): Promise<void> {
  const signal = untilInterrupted()
  try {
    process.exitCode = await run(readOptions(args), signal)
  } catch (error) {
    if (error instanceof Interrupted) throw error
    const isKnown = error instanceof SourceError || error instanceof UserError
    // Exit code 1 means findings, so no other failure may use it.
    const { message, stack } = error as Error
    throw new UserError(
      `The log could not be audited: ${isKnown ? toPlainLines(message) : stack}`,
      {
        exitCode: EXIT.failed,
      },
    )
  }
}

type Options = ReturnType<typeof readOptions>

function readOptions(args: string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        key: { ...text, multiple: true, default: [] },
        receipt: { ...text, multiple: true, default: [] },
        ...{ archive: text, state: text, 'token-file': text, every: text, 'max-age': text },
        ...{ 'heads-only': flag, 'all-usage': flag, follow: flag, json: flag },
      },
    })
    const every = Number(values.every ?? 1)
    const maxAge = values['max-age'] === undefined ? null : Number(values['max-age'])
    const isRight = every > 0 && (maxAge === null || maxAge >= 0)
    if (positionals.length !== 1 || !isRight) throw new Error(USAGE)
    return { ...values, every, maxAge, target: positionals[0]! }
  } catch (error) {
    const { message } = error as Error
    throw new UserError(message === USAGE ? USAGE : `${message}\n${USAGE}`, {
      exitCode: EXIT.failed,
    })
  }
}

async function run(options: Options, signal: AbortSignal): Promise<number> {
  const findings = new Findings(options.json)
  const source = await openSource(options, findings)
  const statePath = options.state ?? null
  const state = await readState(statePath)
  const keys = await chooseKeys(options, state, source)
  const progress = new Progress('audit')
  const auditing = new Audit({
    source,
    keys: parseKeys(keys),
    kept: new Map(Object.entries(state.heads).map(([shard, note]) => [Number(shard), note])),
    receipts: await readReceipts(options.receipt),
    resharded: await openResharded(options, findings),
    headsOnly: options['heads-only'],
    ...(options['all-usage'] ? { usage: ALL_USAGE } : {}),
    onFinding: (finding) => findings.add(finding),
    onProgress: (done, total) => {
      signal.throwIfAborted()
      progress.update(done, total)
    },
  })
  const persist = (report: AuditReport) =>
    persistState(statePath, state, { keys, shards: source.shards }, report, findings.count)
  let report = await auditing.run().finally(() => progress.end())
  checkAge(options, report, findings)
  await persist(report)
  const runAgain = repeatAudit(auditing, signal)
  while (options.follow && findings.count === 0 && !signal.aborted) {
    await sleep(options.every * 1_000, signal)
    report = (await runAgain()) ?? report
    checkAge(options, report, findings)
    await persist(report)
  }
  await findings.end(report, source, options['heads-only'])
  return findings.count === 0 ? EXIT.clean : EXIT.found
}

/** A service could serve a log that lacks the last day, with heads equally old. */
function checkAge({ maxAge }: Options, { newestAt }: AuditReport, findings: Findings): void {
  if (maxAge === null) return
  const age = newestAt === null ? Number.POSITIVE_INFINITY : ageOf(newestAt)
  if (age <= maxAge) return
  const message =
    newestAt === null
      ? 'no event was read, so the age of the newest one is unknown'
      : `the newest event is ${Math.round(age)} s old, more than ${maxAge} s`
  findings.add({ kind: 'stale', at: 'log', message })
}

/**
 * Returns a function that audits new events. It returns null if nothing could be read this time, or
 * if Ctrl-C ended it.
 */
function repeatAudit(auditing: Audit, signal: AbortSignal): () => Promise<AuditReport | null> {
  let isUnavailable = false
  return async () => {
    if (signal.aborted) return null
    try {
      const report = await auditing.run()
      isUnavailable = false
      return report
    } catch (error) {
      if (error instanceof Interrupted) return null
      if (!(error instanceof SourceError)) throw error
      // Following continues through a restart of the service.
      if (!isUnavailable) console.error(`Retrying: ${toPlain(error.message)}`)
      isUnavailable = true
      return null
    }
  }
}

async function openSource(options: Options, findings: Findings): Promise<LogSource> {
  const { target } = options
  if (/^https?:\/\//.test(target)) {
    return openHttpSource({ url: target, token: await readToken(options) }).catch((error) => {
      if (error instanceof TokenNeeded) throw new UserError(`${error.message}: ${NAME_TOKEN}`)
      throw error
    })
  }
  const isFolder = await stat(target)
    .then((found) => found.isDirectory())
    .catch(() => false)
  if (!isFolder) throw new UserError(`${target} is neither a URL nor a directory.\n${USAGE}`)
  const { source, problems } = await openArchiveSource(target)
  for (const { file, message } of problems) {
    findings.add({ kind: 'published', at: file, message })
  }
  return source
}

const NAME_TOKEN = 'set TALLYBOOK_AUDITOR_TOKEN, or give a file that holds it with --token-file.'

async function openResharded({ archive }: Options, findings: Findings) {
  if (archive === undefined) return undefined
  return openReshardedSource(archive, (finding) => findings.add(finding))
}

async function readToken(options: Options): Promise<string | null> {
  const path = options['token-file']
  if (path === undefined) return process.env.TALLYBOOK_AUDITOR_TOKEN?.trim() || null
  return (await readText(path)).trim()
}

/** Returns the keys given and those of the state; if there are none, the log's own. */
async function chooseKeys(
  options: Options,
  state: AuditState,
  source: LogSource,
): Promise<string[]> {
  for (const key of options.key) {
    if (parseKeys([key]).length === 0) throw new UserError(`${key} is not a verifier key.`)
  }
  const known = [...new Set([...options.key, ...state.keys])]
  if (known.length > 0) return known
  const own = (await source.readKeys()).filter((key) => parseKeys([key]).length > 0)
  if (own.length > 0) {
    console.error('Trusted from now on, as the log itself lists them (use --key to choose others):')
    for (const key of own) console.error(`  ${toPlain(key)}`)
    return own
  }
  if (source.sizes === null)
    throw new UserError('The log lists no verifier key: give one with --key.')
  console.error(
    'The archive is not signed, and no --key is given: only its consistency is checked.',
  )
  return own
}

async function readReceipts(paths: string[]): Promise<Map<string, string>> {
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await readText(path)] as const)),
  )
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: Error) => {
    throw new UserError(`${path} can't be read: ${error.message}`)
  })
}

/**
 * Stores the verified heads. If there are findings, the previous heads stay, as they are the
 * evidence. A head of a shard that no longer exists is dropped: without a finding, the archive of
 * the old log contained it.
 */
async function persistState(
  path: string | null,
  state: AuditState,
  { keys, shards }: { keys: string[]; shards: number },
  report: AuditReport,
  findings: number,
): Promise<void> {
  if (path === null || findings > 0) return
  const there = Object.entries(state.heads).filter(([shard]) => Number(shard) < shards)
  const heads = Object.fromEntries(there)
  for (const [shard, { note }] of report.heads) heads[String(shard)] = note
  const next = { keys, heads }
  if (isDeepStrictEqual(state, next)) return
  await writeState(path, next)
  Object.assign(state, next)
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}
