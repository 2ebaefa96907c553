import { isStorable, LAST_UNIX_SECOND } from '../events/columns.ts'
import type { Finding, FindingKind } from './findings.ts'
import type { OldApiKey, OldBooks, OldKey, OldRated, OldSystem } from './old-books.ts'

/** The rows of books that can be moved as they are. */
export type Accepted = Pick<OldBooks, 'groups' | 'apiKeys' | 'keys'>

/** Leaves out all quotas, for a gateway that posts other units than the older system counts. */
export const withoutQuotas = <Books extends Pick<OldBooks, 'keys'>>(books: Books): Books => ({
  ...books,
  keys: books.keys.map((key) => ({ ...key, used: 0n, limit: null, period: 'none' })),
})

type Row = { ref: string; name: string | null }
type Report = (kind: FindingKind, at: string, message: string) => void

/**
 * Separates what the service can represent from what it cannot, which becomes findings. The rows
 * are as they would be moved if all kinds of findings are skipped, in the order of their names.
 */
export function acceptBooks(
  system: OldSystem,
  books: OldBooks,
): { accepted: Accepted; findings: Finding[]; notes: string[] } {
  const findings: Finding[] = []
  const report: Report = (kind, at, message) => void findings.push({ kind, at, message })
  const fault = system.namedBy === 'id' ? findIdFault : findNameFault
  const groups = acceptRows('provider_groups', books.groups, fault, report).filter(rated(report))
  const apiKeys = acceptRows('api_keys', books.apiKeys, fault, report).filter(rated(report, true))
  const keys = acceptRows('keys', books.keys, findNameFault, report)
    .filter((key) => hasValidAmounts(`keys ${key.ref}`, amountsOf(key), report))
    .map((key) => acceptQuota(key, report))
  if (books.orphaned > 0n) {
    const message = `${books.orphaned} requests are of keys that are not there any more`
    report('orphaned-usage', 'api_keys', message)
  }
  return {
    accepted: { groups, apiKeys, keys },
    findings,
    notes: [...books.notes, ...listNotes({ groups, apiKeys, keys })],
  }
}

/** Rows in the order of their names, without those whose names are invalid or not the first. */
function acceptRows<Accepting extends Row>(
  kind: string,
  rows: readonly Accepting[],
  fault: (ref: string) => string | null,
  report: Report,
): Accepting[] {
  const seen = new Set<string>()
  const accepted: Accepting[] = []
  for (const row of [...rows].sort((a, b) => compare(a.ref, b.ref))) {
    const at = `${kind} ${row.ref.slice(0, MAX_NAME)}`
    const wrong = fault(row.ref)
    if (wrong !== null) {
      report('identity', at, wrong)
      continue
    }
    if (seen.has(row.ref)) {
      report('duplicate', at, 'another row has the same name')
      continue
    }
    seen.add(row.ref)
    const isNamed = row.name === null || (row.name.length <= MAX_NAME && isStorable(row.name))
    if (!isNamed) {
      const message = `the name has ${row.name!.length} characters, or is not valid text`
      report('name', at, message)
    }
    accepted.push(isNamed ? row : { ...row, name: null })
  }
  return accepted
}

export const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** The most characters (UTF-16) of a name, a hash and an external id. */
const MAX_NAME = 255
const MAX = BigInt(Number.MAX_SAFE_INTEGER)

function findIdFault(ref: string): string | null {
  return /^[1-9]\d{0,15}$/.test(ref) && BigInt(ref) <= MAX ? null : 'not an id from 1 to 2^53 - 1'
}

function findNameFault(ref: string): string | null {
  if (ref === '') return 'it has no name'
  if (ref.length > MAX_NAME) return `longer than ${MAX_NAME} characters`
  if (!isStorable(ref)) return 'not valid text'
  return ref.trim() === ref ? null : 'it begins or ends with white space'
}

const rated =
  (report: Report, isKey = false) =>
  ({ ref, requests, successes }: OldRated): boolean => {
    const at = `${isKey ? 'api_keys' : 'provider_groups'} ${ref}`
    if (!hasValidAmounts(at, { requests, successes }, report)) return false
    if (successes <= requests) return true
    report('amount', at, `${successes} successes of ${requests} requests`)
    return false
  }

const amountsOf = ({ requests, tokens, used }: OldKey) => ({ requests, tokens, used })

function hasValidAmounts(at: string, amounts: Record<string, bigint>, report: Report): boolean {
  const wrong = Object.entries(amounts).find(([, amount]) => amount < 0n || amount > MAX)
  if (wrong === undefined) return true
  const [name, amount] = wrong
  report('amount', at, `${name} is ${amount}, not from 0 to 2^53 - 1`)
  return false
}

const PERIODS = ['none', 'day', 'week', 'month']

function acceptQuota(key: OldKey, report: Report): OldKey {
  const at = `keys ${key.ref}`
  const accepted = { ...key }
  const { limit, period, lastAccess } = key
  if (limit !== null && (limit < 0n || limit > MAX)) {
    report('limit', at, `its limit is ${limit}, not from 0 to 2^53 - 1`)
    accepted.limit = 0n
  }
  if (!PERIODS.includes(period)) {
    report('period', at, `its quota begins anew every ${period.slice(0, 20)}`)
    Object.assign(accepted, { limit: null, period: 'none' })
  }
  if (lastAccess !== null && (lastAccess < 0n || lastAccess > BigInt(LAST_UNIX_SECOND))) {
    report('time', at, 'its last access is not from 1970 to 9999')
    accepted.lastAccess = null
  }
  return accepted
}

/** What is moved as it is, but may be a surprise. */
function listNotes({ groups, apiKeys, keys }: Accepted): string[] {
  const known = new Set(groups.map(({ ref }) => ref))
  const isOrphan = ({ group }: OldApiKey) => group !== null && !known.has(group)
  const hasNoGroup = ({ group }: OldApiKey) => group === null
  const isOverdrawn = ({ limit, used }: OldKey) => limit !== null && used > limit
  const deleted = [...groups, ...apiKeys, ...keys].filter(({ isDeleted }) => isDeleted)
  return [
    ...say(apiKeys.filter(isOrphan), 'API keys in a group that does not exist'),
    ...say(apiKeys.filter(hasNoGroup), 'API keys in no group'),
    ...say(keys.filter(isOverdrawn), 'Token keys that have used more than their limit'),
    ...say(deleted, 'Deleted rows, which are moved and retired'),
  ]
}

function say(rows: readonly Row[], what: string): string[] {
  if (rows.length === 0) return []
  const first = rows.slice(0, 3).map(({ ref }) => ref)
  return [`${what}: ${rows.length} (${first.join(', ')}${rows.length > 3 ? ', …' : ''})`]
}
