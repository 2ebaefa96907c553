import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../db/errors.ts'
import { ROLES, type Role } from './roles.ts'

/** A token of each role, and those that were made just now (to be shown this once). */
export type LoadedTokens = { tokens: Record<Role, string>; made: Role[] }

/**
 * The token of each role: the fixed one where there is one, else that of `tokens/<role>` in the data
 * directory, made on the first start (mode 0600). Of several starts at once one makes the file and the
 * others read it.
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

async function readOrMake(dataDir: string, role: Role): Promise<{ token: string; made: boolean }> {
  const folder = join(dataDir, 'tokens')
  const path = join(folder, role)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    const token = `tb_${role}_${randomBytes(24).toString('base64url')}`
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(`${token}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    return { token, made: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const token = (await readFile(path, 'utf8')).trim()
  if (token === '') {
    throw new StartError(`The token file ${path} is empty: delete it, and a new one is made.`)
  }
  return { token, made: false }
}
