import { readFile } from 'node:fs/promises'
import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { isCode, replaceFile } from '../platform/atomic-file.ts'
import { UserError } from '../platform/user-error.ts'

/**
 * State that an auditor stores between audits: the trusted keys, and the last verified head of each
 * shard (notes, by shard).
 *
 *     {"keys":["stats.example.com/audit/log/0+7a1b2c3d+AQ…"],"heads":{"0":"stats.example.com/…\n"}}
 */
const State = Type.Object(
  { keys: Type.Array(Type.String()), heads: Type.Record(Type.String(), Type.String()) },
  { additionalProperties: false },
)
export type AuditState = Static<typeof State>

const check = TypeCompiler.Compile(State)

/** Reads the state from a file; it is empty if there is no file yet. Throws UserError. */
export async function readState(path: string | null): Promise<AuditState> {
  const empty = { keys: [], heads: {} }
  if (path === null) return empty
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return empty
    throw new UserError(`${path} can't be read: ${(error as Error).message}`, { exitCode: 2 })
  }
  try {
    const state: unknown = JSON.parse(text)
    if (check.Check(state)) return state
  } catch {
    // Reported below.
  }
  throw new UserError(`${path} is not an audit's state file.`, { exitCode: 2 })
}

/** Replaces the stored state atomically. */
export const writeState = (path: string, state: AuditState) =>
  replaceFile(path, `${JSON.stringify(state, null, 2)}\n`)
