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

const USAGE = `Usage: tallybook audit <url of a service, or directory of an archive> [options]
  --key <verifier key>   trusted; may be repeated. Without one the log's own are taken, once
  --state <file>         keeps keys and verified heads from one audit to the next
  --token-file <file>    an auditor's token; else TALLYBOOK_AUDITOR_TOKEN, else what is public
  --receipt <file>       a .tlog-proof that has to hold; may be repeated
  --archive <directory>  the old log, where its events were dealt to another number of shards
  --max-age <seconds>    the newest event must not be older
  --all-usage            usage of every row, not of 1,000 of a kind that chance chooses
  --heads-only           signatures and consistency of the tree heads only
  --follow               goes on, with what is new every --every seconds (1)
  --json                 for programs`

/** Exit codes: nothing found; something was; it could not be audited. */
const EXIT = { clean: 0, found: 1, failed: 2 }

/** Verifies a log as an outsider: a running service's, or an archive's without a service. */
export async function audit(args: string[]): Promise<void> {
  const signal = untilInterrupted()
  try {
    process.exitCode = await run(readOptions(args), signal)
  } catch (error) {
    if (error instanceof Interrupted) throw error
    const isKnown = error instanceof SourceError || error instanceof UserError
    // 1 says that something was found: whatever else happens must not.
    const { message, stack } = error as Error
    throw new UserError(`Could not be audited: ${isKnown ? toPlainLines(message) : stack}`, {
      exitCode: EXIT.failed,
    })
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
  const keep = (report: AuditReport) =>
    keepState(statePath, state, { keys, shards: source.shards }, report, findings.count)
  let report = await auditing.run().finally(() => progress.end())
  checkAge(options, report, findings)
  await keep(report)
  const runAgain = following(auditing, signal)
  while (options.follow && findings.count === 0 && !signal.aborted) {
    await sleep(options.every * 1_000, signal)
    report = (await runAgain()) ?? report
    checkAge(options, report, findings)
    await keep(report)
  }
  await findings.end(report, source, options['heads-only'])
  return findings.count === 0 ? EXIT.clean : EXIT.found
}

/** A service could show a log from which the last day is missing, with heads as old. */
function checkAge({ maxAge }: Options, { newestAt }: AuditReport, findings: Findings): void {
  if (maxAge === null) return
  const age = newestAt === null ? Number.POSITIVE_INFINITY : ageOf(newestAt)
  if (age <= maxAge) return
  const message =
    newestAt === null
      ? 'no event was gone through that would say how old it is'
      : `its newest event is ${Math.round(age)} s old, more than ${maxAge} s`
  findings.add({ kind: 'stale', at: 'log', message })
}

/** Audits what came since; null where nothing could be read this time, or Ctrl-C ended it. */
function following(auditing: Audit, signal: AbortSignal): () => Promise<AuditReport | null> {
  let isAway = false
  return async () => {
    if (signal.aborted) return null
    try {
      const report = await auditing.run()
      isAway = false
      return report
    } catch (error) {
      if (error instanceof Interrupted) return null
      if (!(error instanceof SourceError)) throw error
      // A service that restarts is no reason to stop looking at it.
      if (!isAway) console.error(`It will be tried again: ${toPlain(error.message)}`)
      isAway = true
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

const NAME_TOKEN = 'set TALLYBOOK_AUDITOR_TOKEN to it, or name its file with --token-file.'

async function openResharded({ archive }: Options, findings: Findings) {
  if (archive === undefined) return undefined
  return openReshardedSource(archive, (finding) => findings.add(finding))
}

async function readToken(options: Options): Promise<string | null> {
  const path = options['token-file']
  if (path === undefined) return process.env.TALLYBOOK_AUDITOR_TOKEN?.trim() || null
  return (await readText(path)).trim()
}

/** Those that were given, and those of the state; the log's own the first time only. */
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
    console.error('Trusted from here on, as the log itself names them (--key says which to trust):')
    for (const key of own) console.error(`  ${toPlain(key)}`)
    return own
  }
  if (source.sizes === null) throw new UserError('The log names no verifier key.')
  console.error('The archive is not signed, and no --key is given: it can only contradict itself.')
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
 * Of a log in which something was found, the heads from before stay: they are what shows it. Else a
 * head of a shard that isn't there any more was found in the archive.
 */
async function keepState(
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
