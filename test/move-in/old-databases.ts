import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { acceptBooks } from '../../src/move-in/accept.ts'
import type { Move } from '../../src/move-in/move.ts'
import { Service } from '../../src/move-in/service.ts'
import { readOldBooks, SYSTEMS } from '../../src/move-in/systems/index.ts'
import { checkSums } from '../../src/move-in/trial-balance.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { type TestService, TOKENS } from '../support/service.ts'

/** Returns the statements that create the tables of an older system. */
export const readSchema = (system: string): string =>
  readFileSync(join(import.meta.dir, '../fixtures/move-in', `${system}.sql`), 'utf8')

/** A PostgreSQL database of an older system. */
export type TestOldDatabase = { url: string; run(statements: string): Promise<void> } & Pick<
  TestDatabase,
  'drop'
>

/** Creates a PostgreSQL database with the tables of an older system. The caller drops it. */
export async function createOldDatabase(system: string): Promise<TestOldDatabase> {
  const database = await createDatabase({ empty: true })
  const run = async (statements: string) => {
    await database.owner.unsafe(`set search_path to public; ${statements}`)
  }
  await run(readSchema(system))
  return { url: urlOf(database), run, drop: database.drop }
}

/** The URL of a test database, whose server may listen on a socket only. */
export function urlOf({ address }: TestDatabase): string {
  if ('url' in address) return address.url
  const { host, port, user, database } = address
  return `postgres://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`
}

/** What `move-in` sends its requests with. `onRequest` may refuse one before or after it is sent. */
export function clientOf(
  service: TestService,
  onRequest: (method: string, when: 'before' | 'after') => unknown = () => {},
): Service {
  return new Service(async (method, path, body, headers = {}) => {
    await onRequest(method, 'before')
    const response = await service.fetch('admin', path, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    })
    await onRequest(method, 'after')
    return response
  })
}

/** The environment of commands that address the running service. */
export const ofService = ({ url }: TestService) => ({
  ...{ TALLYBOOK_PORT: new URL(url).port, TALLYBOOK_ADMIN_TOKEN: TOKENS.admin },
})

/** Reads an older database as `move-in` does that skips every finding. */
export async function readMove(name: string, url: string): Promise<Move> {
  const system = SYSTEMS[name]!
  const books = await readOldBooks(system, url)
  checkSums(books)
  const { accepted } = acceptBooks(system, books)
  return { system, accepted, takenAt: books.takenAt, areQuotasKept: true }
}
