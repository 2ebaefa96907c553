import { formatHash } from '../proofs/merkle/hash.ts'
import type { AuditReport, Finding, LogSource, UsageReport } from '../proofs/verifier/index.ts'

/** Maximum number of findings reported; an entirely wrong log has one at every event. */
const MAX_FINDINGS = 1_000
/** Maximum length of a line on a terminal. */
const MAX_CHARACTERS = 2_000

/** Prints findings as they come, or all of them at the end as JSON. */
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

  /** Prints what was verified, what was not, and the number of findings. */
  async end(report: AuditReport, source: LogSource, headsOnly: boolean): Promise<void> {
    const limits = listLimits(report, source, headsOnly)
    const text = this.isJson ? this.#toJson(report, limits) : this.#toText(report, limits)
    // Not console.log: output that a pipe has not taken yet would be lost at exit.
    await Bun.write(Bun.stdout, `${text}\n`)
  }

  #toJson({ heads, newestAt: newest_at, ...counts }: AuditReport, not_verified: string[]): string {
    const shards = [...heads].map(([shard, { origin, size, root, note }]) => ({
      ...{ shard, origin, size, root: formatHash(root), note },
    }))
    return JSON.stringify({
      shards,
      ...counts,
      // `resharded` under its name before 0.2.
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
        `${report.acts} reversals, adoptions and resets, ` +
        `${report.rows} rows of API pages, ` +
        `${report.usage?.buckets ?? 0} hours, days and months of usage, ` +
        `${report.receipts} receipts verified`,
    )
    if (report.newestAt !== null) {
      const age = Math.max(0, Math.round(ageOf(report.newestAt)))
      lines.push(`The newest event was recorded at ${report.newestAt}, ${age} s ago`)
    }
    if (report.resharded > 0) {
      lines.push(`${report.resharded} events of the archive were compared with the resharded log`)
    }
    lines.push(...report.notes, ...limits)
    if (this.count > MAX_FINDINGS) lines.push(`and ${this.count - MAX_FINDINGS} more`)
    lines.push(this.count === 0 ? 'No findings' : `${this.count} findings`)
    return lines.map(toPlain).join('\n')
  }
}

/** Returns what this audit could not or did not verify, one sentence each. */
export function listLimits(report: AuditReport, source: LogSource, headsOnly: boolean): string[] {
  const limits: string[] = []
  const { unsigned, missedClaims, missedActs } = report
  if (headsOnly) limits.push('Only tree heads were verified, not events or totals.')
  else if (source.events === null)
    limits.push('Payloads and totals were not verified: no token was given.')
  else if (source.pages === null) limits.push('API pages were not compared: an archive has none.')
  else limits.push(...listUsageLimits(report.usage))
  if (report.newestAt === null) limits.push('The age of the newest event was not checked.')
  if (!headsOnly && unsigned > 0) {
    limits.push(
      `${unsigned} events are covered by no signed tree head: ` +
        'only their consistency was checked, and they could have been forged as a whole.',
    )
  }
  if (missedClaims > 0) {
    limits.push(
      `${missedClaims} attested digests and totals were not compared, as they are of positions ` +
        'before those that this audit read: an audit from the beginning compares them.',
    )
  }
  if (missedActs > 0) {
    limits.push(
      `${missedActs} reversals, adoptions and resets were not compared with the events before ` +
        'them: these could not be read, or were moved by an old release that did not state where.',
    )
  }
  return limits
}

/** Returns the limits of the comparison of usage, one sentence each. */
function listUsageLimits(usage: UsageReport | null): string[] {
  if (usage === null) return ['No page was compared, as the log could not be read that far.']
  const { scopes, outside } = usage
  const compared = (['hour', 'day', 'month'] as const).flatMap((bucket) => {
    const kinds = scopes.filter((scope) => scope.bucket === bucket).map(({ kind }) => NAMES[kind])
    return kinds.length > 0 ? [`by the ${bucket} (${kinds.join(', ')})`] : []
  })
  const limits = [
    `Usage was compared ${compared.join(' and ')}: ` +
      'counts moved within one of these are found only if they are attested.',
  ]
  const sampled = scopes.filter(({ compared, of }) => compared < of)
  if (sampled.length > 0) {
    const texts = sampled.map(({ kind, compared, of }) => `${compared} of ${of} ${NAMES[kind]}`)
    limits.push(
      `Usage was compared for only ${texts.join(' and ')}, chosen at random: ` +
        '--all-usage compares all.',
    )
  }
  if (outside > 0) {
    limits.push(`${outside} events count outside the days whose usage was compared.`)
  }
  return limits
}

const NAMES = {
  ...{ all: 'all together', provider_groups: 'provider groups' },
  ...{ api_keys: 'API keys', keys: 'token keys' },
}

/** Returns the seconds since a time; negative if it is in the future. */
export const ageOf = (at: string): number => (Date.now() - Date.parse(at)) / 1_000

/** Returns a line of text without characters that a terminal acts on, whatever a server sent. */
export function toPlain(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '\ufffd')
  return plain.length > MAX_CHARACTERS ? `${plain.slice(0, MAX_CHARACTERS)}…` : plain
}

/** Applies toPlain to each line of a text. */
export const toPlainLines = (text: string) => text.split('\n').map(toPlain).join('\n')
