/** What an audit can find. */
export type FindingKind =
  /** Two tree heads of one origin that no one log can have. */
  | 'fork'
  /** The log is shorter than it was. */
  | 'rolled_back'
  /** A tree head is not signed by a known key, or is another log's. */
  | 'signature'
  /** Events and tiles don't make the root that was signed. */
  | 'root'
  /** An event is not the one whose leaf is in the signed tree. */
  | 'rewritten'
  /** A payload is not the one whose hash the leaf has. */
  | 'payload'
  /** Events are not in their order, or one is missing. */
  | 'order'
  /** Published entries or tiles differ from the events. */
  | 'published'
  /** What the service attested is not what the log comes to. */
  | 'attestation'
  /** A page shows what the log doesn't come to. */
  | 'total'
  /** The log is not what comes of the archive that it was dealt from, or that isn't sound. */
  | 'archive'
  /** The newest event is older than it may be: the log may be one that was kept back. */
  | 'stale'
  /** A receipt doesn't hold, alone or against the log. */
  | 'receipt'

/** What is not as it has to be: for programs by kind and place, for people by sentence. */
export type Finding = { kind: FindingKind; at: string; message: string }

export type OnFinding = (finding: Finding) => void
