import { LOG_MUTATIONS } from './list-log.ts'
import { PROOF_MUTATIONS } from './list-proofs.ts'
import { READ_MUTATIONS } from './list-reads.ts'
import type { Mutation } from './mutation.ts'

/**
 * Faults of all folders of src and of sql, each of which the type checker and the linter pass, and a
 * user would feel.
 */
export const MUTATIONS: readonly Mutation[] = [
  ...LOG_MUTATIONS,
  ...READ_MUTATIONS,
  ...PROOF_MUTATIONS,
]
