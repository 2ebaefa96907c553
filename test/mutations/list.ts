import { BOOKS_MUTATIONS } from './list-books.ts'
import { LOG_MUTATIONS } from './list-log.ts'
import { MOVE_IN_MUTATIONS } from './list-move-in.ts'
import { PROOF_MUTATIONS } from './list-proofs.ts'
import { QUOTA_MUTATIONS } from './list-quotas.ts'
import { READ_MUTATIONS } from './list-reads.ts'
import { RULE_MUTATIONS } from './list-rules.ts'
import { SOURCE_MUTATIONS } from './list-sources.ts'
import { USAGE_MUTATIONS } from './list-usage.ts'
import type { Mutation } from './mutation.ts'

/**
 * Faults in all folders of src and in sql. Each of them passes the type checker and the linter, and
 * affects a user.
 */
export const MUTATIONS: readonly Mutation[] = [
  ...LOG_MUTATIONS,
  ...READ_MUTATIONS,
  ...PROOF_MUTATIONS,
  ...BOOKS_MUTATIONS,
  ...QUOTA_MUTATIONS,
  ...USAGE_MUTATIONS,
  ...SOURCE_MUTATIONS,
  ...MOVE_IN_MUTATIONS,
  ...RULE_MUTATIONS,
]
