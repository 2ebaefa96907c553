import { formatHash } from '../proofs/merkle/hash.ts'
import type { AuditReport, Finding, LogSource, UsageReport } from '../proofs/verifier/index.ts'

/** Findings that are told of; a log that is all wrong has one at every event. */
const MAX_FINDINGS = 1_000
/** Characters of one, on a terminal. */
const MAX_CHARACTERS = 2_000

/** Tells of findings as they come, or of all of them at the end as JSON. */
export class Findings {
  count = 0
  readonly #first: Finding[] = []

  constructor(private readonly isJson: boolean) {}

  add(finding: Finding): void {
    this.count++
    if (this.count > MAX_FINDINGS) return
    this.#first.push(finding)
    const { kind, at, message } = finding
    if (!this.isJson) console.log(toPlain(`${at} (${kind}): ${message}`))
  }

  /** What was verified, what was not, and how many findings there were. */
  async end(report: AuditReport, source: LogSource, headsOnly: boolean): Promise<void> {
    const limits = listLimits(report, source, headsOnly)
    const text = this.isJson ? this.#toJson(report, limits) : this.#toText(report, limits)
    // Not console.log: what a pipe hasn't taken yet would be lost at the exit.
    await Bun.write(Bun.stdout, `${text}\n`)
  }

  #toJson({ heads, newestAt: newest_at, ...counts }: AuditReport, not_verified: string[]): string {
    const shards = [...heads].map(([shard, { origin, size, root, note }]) => ({
      ...{ shard, origin, size, root: formatHash(root), note },
    }))
    return JSON.stringify({
      shards,
      ...counts,
      // The name of `resharded` in versions before 0.2.
      dealt: counts.resharded,
      newest_at,
      not_verified,
      findings: this.count,
      first: this.#first,
    })
  }

  #toText(report: AuditReport, limits: string[]): string {
    const lines = [...report.heads].map(
      ([shard, { origin, size, root }]) =>
        `shard ${shard}: ${size} events, signed as ${origin} with root ${formatHash(root)}`,
    )
    lines.push(
      `${report.leaves} leaves, ${report.events} payloads, ` +
        `${report.claims} attested digests and totals, ` +
        `${report.rows} rows of pages, ${report.usage?.buckets ?? 0} hours and days of usage, ` +
        `${report.receipts} receipts verified`,
    )
    if (report.newestAt !== null) {
      const age = Math.max(0, Math.round(ageOf(report.newestAt)))
      lines.push(`The newest event was recorded at ${report.newestAt}, ${age} s ago`)
    }
    if (report.resharded > 0) {
      lines.push(
        `${report.resharded} events of the archive were held against where they were dealt to`,
      )
    }
    lines.push(...report.notes, ...limits)
    if (this.count > MAX_FINDINGS) lines.push(`and ${this.count - MAX_FINDINGS} more`)
    lines.push(this.count === 0 ? 'Nothing found' : `${this.count} found`)
    return lines.map(toPlain).join('\n')
  }
}

/** What this audit could not or did not look at, a sentence each. */
export function listLimits(report: AuditReport, source: LogSource, headsOnly: boolean): string[] {
  const limits: string[] = []
  const { unsigned, missedClaims } = report
  if (headsOnly) limits.push('Only tree heads were verified, no events and no totals.')
  else if (source.events === null) limits.push('Payloads and totals were not verified: no token.')
  else if (source.pages === null) limits.push('There are no pages to compare in an archive.')
  else limits.push(...listUsageLimits(report.usage))
  if (report.newestAt === null) limits.push('How old the end of the log is was not looked at.')
  if (!headsOnly && unsigned > 0) {
    limits.push(
      `${unsigned} events are covered by no signed tree head: ` +
        'they were held against themselves only, and could have been forged as a whole.',
    )
  }
  if (missedClaims > 0) {
    limits.push(
      `${missedClaims} attested digests and totals were of positions that had gone by: ` +
        'an audit from the beginning compares them.',
    )
  }
  return limits
}

/** What was not compared of usage. */
function listUsageLimits(usage: UsageReport | null): string[] {
  if (usage === null) return ['No page was compared, as the log could not be gone through so far.']
  const { scopes, outside } = usage
  const by = (bucket: 'hour' | 'day') =>
    scopes.filter((scope) => scope.bucket === bucket).map(({ kind }) => NAMES[kind])
  const [hours, days] = [by('hour'), by('day')]
  const compared = [
    ...(hours.length > 0 ? [`by the hour (${hours.join(', ')})`] : []),
    ...(days.length > 0 ? [`by the day (${days.join(', ')})`] : []),
  ]
  const limits = [
    `Usage was compared ${compared.join(' and ')}: ` +
      'what was moved within one of these shows only where it is attested.',
  ]
  const parts = scopes.filter(({ compared, of }) => compared < of)
  if (parts.length > 0) {
    const texts = parts.map(({ kind, compared, of }) => `${compared} of ${of} ${NAMES[kind]}`)
    limits.push(
      `Usage was compared of ${texts.join(' and of ')} only, by chance: --all-usage takes all.`,
    )
  }
  if (outside > 0) {
    limits.push(`${outside} events were recorded outside of the days whose usage was compared.`)
  }
  return limits
}

const NAMES = {
  ...{ all: 'all together', provider_groups: 'provider groups' },
  ...{ api_keys: 'API keys', keys: 'token keys' },
}

/** Seconds since a time; below 0 where that is yet to come. */
export const ageOf = (at: string): number => (Date.now() - Date.parse(at)) / 1_000

/** A line of text, whatever a server has put into it: no escapes that a terminal acts on. */
export function toPlain(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '\ufffd')
  return plain.length > MAX_CHARACTERS ? `${plain.slice(0, MAX_CHARACTERS)}…` : plain
}

export const toPlainLines = (text: string) => text.split('\n').map(toPlain).join('\n')
