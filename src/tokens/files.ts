import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../start-error.ts'
import { createFile, isCode } from '../whole-file.ts'
import { ROLES, type Role } from './roles.ts'
import { makeToken } from './stored.ts'

/** A token of each role, and those that were made just now (to be shown this once). */
export type LoadedTokens = { tokens: Record<Role, string>; made: Role[] }

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
    throw new StartError('Two roles have the same token: each role needs a token of its own.')
  }
  return { tokens, made }
}

/** The tokens of a service that was started on this data directory; for its own commands. */
export async function readTokens(
  dataDir: string,
  fixed: Record<Role, string | null>,
): Promise<Record<Role, string>> {
  const tokens = {} as Record<Role, string>
  for (const role of ROLES) tokens[role] = fixed[role] ?? (await read(pathOf(dataDir, role)))
  return tokens
}

async function readOrMake(dataDir: string, role: Role): Promise<{ token: string; made: boolean }> {
  const path = pathOf(dataDir, role)
  if (existsSync(path)) return { token: await read(path), made: false }
  const token = makeToken(role)
  const made = await createFile(path, `${token}\n`)
  return made ? { token, made } : { token: await read(path), made }
}

const pathOf = (dataDir: string, role: Role) => join(dataDir, 'tokens', role)

async function read(path: string): Promise<string> {
  let token: string
  try {
    token = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
    throw new StartError(`There is no token in ${path}: has the service been started there?`)
  }
  if (token !== '') return token
  throw new StartError(`The token file ${path} is empty: delete it, and a new one is made.`)
}
