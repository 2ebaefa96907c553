import { UserError } from '../../platform/user-error.ts'
import type { OldBooks, OldSystem } from '../old-books.ts'
import { dialectOf, inOldSnapshot } from '../old-database.ts'
import { ezApi } from './ez-api.ts'
import { liteLlm } from './litellm.ts'
import { newApi } from './new-api.ts'

/** The systems that can be moved, by the names that commands take. */
export const SYSTEMS: Record<string, OldSystem> = {
  'ez-api': ezApi,
  'new-api': newApi,
  litellm: liteLlm,
}

/** Books with the moment of their snapshot, RFC 3339. */
export type TakenBooks = OldBooks & { takenAt: string }

/** Reads the books of an older system in one snapshot. Throws UserError. */
export async function readOldBooks(system: OldSystem, location: string): Promise<TakenBooks> {
  const dialect = dialectOf(location)
  if (!system.databases.includes(dialect)) {
    throw new UserError(`${system.name} runs on ${system.databases.join(' or ')} only.`)
  }
  return inOldSnapshot(location, async (database) => {
    const takenAt = new Date().toISOString()
    return { takenAt, ...(await system.read(database)) }
  })
}
