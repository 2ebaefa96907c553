// The library for auditors: no database, no framework, nothing but `fetch`.
export { Audit, type AuditOptions, type AuditReport, parseKeys } from './audit.ts'
export type { Finding, FindingKind, OnFinding } from './finding.ts'
export { type Digest, ShardFold } from './fold.ts'
export { checkHead, compareHeads } from './heads.ts'
export { type OpenedReceipt, openReceipt, type Receipt } from './receipt.ts'
export { type HttpOptions, openHttpSource } from './sources/http.ts'
export { type LogSource, type ReshardedSource, SourceError, TokenNeeded } from './sources/source.ts'
export { ALL_USAGE, type UsageLimits, type UsageReport } from './usage-pages.ts'
