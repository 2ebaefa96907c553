import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createFile, isCode } from '../platform/atomic-file.ts'
import { UserError } from '../platform/user-error.ts'
import { ROLES, type Role, TOKEN_VARIABLES } from './roles.ts'
import { makeToken } from './token-store.ts'

/** A token of each role, which of them were made just now, and the folder that has these. */
export type LoadedTokens = { tokens: Record<Role, string>; made: Role[]; folder: string }

/**
 * The token of each role: the fixed one where there is one, else that of `tokens/<role>` in the
 * data directory, made on the first start (mode 0600). Of several starts at once one makes the file
 * and the others read it.
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
    throw new UserError('Two roles have the same token: each role needs a token of its own.')
  }
  return { tokens, made, folder: resolve(dataDir, 'tokens') }
}

/**
 * The token of `role` for the service's own commands: the fixed one, else that of a service that
 * was started on this data directory.
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
    `There is no ${role} token in ${path}: set ${TOKEN_VARIABLES[role]} to the one of the ` +
      'service, or TALLYBOOK_DATA_DIR to its data directory.',
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

/** null if there is no such file. */
async function read(path: string): Promise<string | null> {
  let token: string
  try {
    token = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
    return null
  }
  if (token !== '') return token
  throw new UserError(`The token file ${path} is empty: delete it, and a new one is made.`)
}
