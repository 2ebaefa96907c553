import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createFile, isCode } from '../platform/atomic-file.ts'
import { UserError } from '../platform/user-error.ts'
import { ROLES, type Role, TOKEN_VARIABLES } from './roles.ts'
import { makeToken } from './token-store.ts'

/** The token of each role, the roles whose token was just created, and the folder of the files. */
export type LoadedTokens = { tokens: Record<Role, string>; made: Role[]; folder: string }

/**
 * Returns the token of each role: the fixed one if there is one, else the one in `tokens/<role>` in
 * the data directory, created on the first start (mode 0600). If several services start at once,
 * one creates the file and the others read it.
 */
export async function loadTokens(
  dataDir: string,
  fixed: Record<Role, string | null>,
): Promise<LoadedTokens> {
  const tokens = {} as Record<Role, string>
  const made: Role[] = []
  for (const role of ROLES) {
    const given = fixed[role]
    if (given !== null) {
      tokens[role] = given
      continue
    }
    const file = await readOrMake(dataDir, role)
    tokens[role] = file.token
    if (file.made) made.push(role)
  }
  if (new Set(Object.values(tokens)).size < ROLES.length) {
    throw new UserError('Two roles have the same token. Give each role its own token.')
  }
  return { tokens, made, folder: resolve(dataDir, 'tokens') }
}

/**
 * Returns the token of `role` for the CLI: the fixed one if it is set, otherwise the one that a
 * service has stored in this data directory. Throws UserError if there is neither.
 */
export async function readToken(
  dataDir: string,
  role: Role,
  fixed: Record<Role, string | null>,
): Promise<string> {
  const path = pathOf(dataDir, role)
  const token = fixed[role] ?? (await read(path))
  if (token !== null) return token
  throw new UserError(
    `There is no ${role} token in ${path}. Set ${TOKEN_VARIABLES[role]} to the service's token, ` +
      "or TALLYBOOK_DATA_DIR to the service's data directory.",
  )
}

async function readOrMake(dataDir: string, role: Role): Promise<{ token: string; made: boolean }> {
  const path = pathOf(dataDir, role)
  const there = await read(path)
  if (there !== null) return { token: there, made: false }
  const token = makeToken(role)
  const made = await createFile(path, `${token}\n`)
  return { token: (made ? token : await read(path)) ?? token, made }
}

const pathOf = (dataDir: string, role: Role) => join(dataDir, 'tokens', role)

/** Returns null if there is no such file. */
async function read(path: string): Promise<string | null> {
  let token: string
  try {
    token = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
    return null
  }
  if (token !== '') return token
  throw new UserError(
    `The token file ${path} is empty. Delete it; the service creates a new one when it starts.`,
  )
}
