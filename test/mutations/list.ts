import { LOG_MUTATIONS } from './list-log.ts'
import { PROOF_MUTATIONS } from './list-proofs.ts'
import { READ_MUTATIONS } from './list-reads.ts'
import type { Mutation } from './mutation.ts'

/**
 * Faults in all folders of src and in sql. Each of them passes the type checker and the linter, and
 * affects a user.
 */
export const MUTATIONS: readonly Mutation[] = [
  ...LOG_MUTATIONS,
  ...READ_MUTATIONS,
  ...PROOF_MUTATIONS,
]
