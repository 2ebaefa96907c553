/** The kinds of findings of an audit. */
export type FindingKind =
  /** Two tree heads of one origin that can't both belong to one log. */
  | 'fork'
  /** The log is shorter than it was. */
  | 'rolled_back'
  /** A tree head is not signed by a known key, or belongs to another log. */
  | 'signature'
  /** Events and tiles don't have the signed root. */
  | 'root'
  /** An event does not match its leaf in the signed tree. */
  | 'rewritten'
  /** A payload does not match its hash in the leaf. */
  | 'payload'
  /** Events are out of order, or one is missing. */
  | 'order'
  /** Published entries or tiles differ from the events. */
  | 'published'
  /** An attestation does not match the log. */
  | 'attestation'
  /** A reversal does not match the event that it names, or names none. */
  | 'reversal'
  /** An adoption does not match the flushes before it. */
  | 'adoption'
  /** A quota reset does not match what had counted until then. */
  | 'reset'
  /** A page does not match the log. */
  | 'total'
  /** The log does not match the archive it was resharded from, or that archive is damaged. */
  | 'archive'
  /** The newest event is older than allowed: the service may show an old log. */
  | 'stale'
  /** A receipt is invalid by itself, or does not match the log. */
  | 'receipt'

/** A deviation: `kind` and `at` are for programs, `message` is for people. */
export type Finding = { kind: FindingKind; at: string; message: string }

/** Called with each finding. */
export type OnFinding = (finding: Finding) => void
