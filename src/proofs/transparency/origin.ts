import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createFile, isCode, replaceFile } from '../../platform/atomic-file.ts'
import { UserError } from '../../platform/user-error.ts'
import {
  formatSigningKey,
  formatVerifierKey,
  makeSigningKey,
  parseSigningKey,
  type SigningKey,
} from '../merkle/key.ts'
import { openTreeHead } from '../merkle/tree-head.ts'

/**
 * Under which name the trees are signed, and with what. In the data directory, and never in the
 * database, so that who can change the log can't sign it:
 *
 *     transparency/origin                   the name, `stats.example.com`
 *     transparency/stats.example.com/keys   signing keys, a line each, the newest first (mode 0600)
 *     transparency/stats.example.com/heads/0      the tree head of shard 0 that was signed last
 *     transparency/stats.example.com/previous/0   the last one of the origin before, if there was
 */
export type Origin = { name: string; folder: string; keys: SigningKey[] }

/**
 * The origin of a data directory; made on the first start, under the wanted name or one of its own.
 * Throws UserError where it has another name than is wanted, or its keys can't be read.
 */
export async function openOrigin(
  dataDir: string,
  wanted: string | null,
): Promise<{ origin: Origin; made: boolean }> {
  const name = await readName(dataDir)
  const made = name === null && (await makeOrigin(dataDir, wanted ?? randomName()))
  const origin = await readOrigin(dataDir)
  if (wanted === null || wanted === origin.name) return { origin, made }
  throw new UserError(
    `TALLYBOOK_LOG_ORIGIN is ${wanted}, and the log has been signed as ${origin.name}. ` +
      'Auditors know it by that name: unset the variable, or make a new origin on purpose with ' +
      `\`tallybook key new-origin ${wanted}\`.`,
  )
}

/**
 * The verifier keys and the last tree heads of a data directory, for who carries them away with the
 * log; null where it has no origin.
 */
export async function readSignedHeads(
  dataDir: string,
  shards: number,
): Promise<{ keys: string[]; heads: Map<number, string> } | null> {
  const origin = await readSigner(dataDir)
  if (origin === null) return null
  const keys: string[] = []
  const heads = new Map<number, string>()
  for (let shard = 0; shard < shards; shard++) {
    keys.push(...keysOfShard(origin, shard).map(formatVerifierKey))
    const head = await readPersistedHead(origin, shard)
    if (head !== null) heads.set(shard, head)
  }
  return { keys, heads }
}

/** The origin of a data directory; throws UserError where there is none, or its keys are bad. */
export async function readOrigin(dataDir: string): Promise<Origin> {
  const name = await readName(dataDir)
  if (name === null) {
    throw new UserError(
      `There is no key of a transparency log in ${dataDir}: has the service been started there?`,
    )
  }
  const folder = folderOf(dataDir, name)
  const path = keysOf(folder)
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new UserError(`The signing keys of ${name} can't be read: ${error.message}`)
  })
  const keys = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(parseSigningKey)
  if (keys.length === 0 || keys.some((key) => key?.name !== name)) {
    throw new UserError(`${path} holds something else than signing keys of ${name}.`)
  }
  return { name, folder, keys: keys as SigningKey[] }
}

/** As `readOrigin`; null where the data directory has none. */
export async function readSigner(dataDir: string): Promise<Origin | null> {
  return (await readName(dataDir)) === null ? null : readOrigin(dataDir)
}

/** What a shard's tree is called, and the name of the keys that sign it. */
export const originOf = (name: string, shard: number) => `${name}/audit/log/${shard}`

/** The keys that sign a shard's tree: the origin's, under the shard's name. */
export function keysOfShard({ name, keys }: Origin, shard: number): SigningKey[] {
  return keys.map(({ seed }) => makeSigningKey(originOf(name, shard), seed))
}

/** Puts a new key before those there are: from the next start on all of them sign. */
export async function rotateKey(origin: Origin): Promise<void> {
  await writeKeys(origin.folder, [makeSigningKey(origin.name), ...origin.keys])
}

/**
 * Leaves the newest key only; gives how many were taken away. Throws UserError where the newest
 * hasn't signed yet: auditors, and the next start, could not tell that it follows the others.
 */
export async function retireKeys(origin: Origin, shards: number): Promise<number> {
  const [newest, ...older] = origin.keys
  for (let shard = 0; shard < shards; shard++) {
    const note = await readPersistedHead(origin, shard)
    const [key] = keysOfShard(origin, shard)
    if (note === null || openTreeHead(note, [key!]).kind === 'signed') continue
    throw new UserError('The newest key has not signed yet: start the service with it first.')
  }
  await writeKeys(origin.folder, [newest!])
  return older.length
}

/**
 * Ends an origin and begins another, which will cite `heads` (notes, by shard), with a key of its
 * own. What the old one has stays in its folder. Killed before its last step: nothing has changed.
 * Throws UserError where there was an origin of that name.
 */
export async function startOrigin(
  dataDir: string,
  name: string,
  heads: ReadonlyMap<number, string>,
): Promise<void> {
  const folder = folderOf(dataDir, name)
  if (!(await createFile(keysOf(folder), formatKeys([makeSigningKey(name)])))) {
    throw new UserError(`There was an origin ${name} already: choose another name.`)
  }
  for (const [shard, note] of heads) await replaceFile(previousOf(folder, shard), note)
  await replaceFile(nameOf(dataDir), `${name}\n`)
}

/** The last tree head of the origin before, as a note; null where the shard has none. */
export function readPrevious({ folder }: Origin, shard: number): Promise<string | null> {
  return readIfThere(previousOf(folder, shard))
}

/** The tree head that was signed last, as a note; null where none was. */
export function readPersistedHead({ folder }: Origin, shard: number): Promise<string | null> {
  return readIfThere(headOf(folder, shard))
}

/** Keeps a tree head, on disk when it returns: only then may anybody see it. */
export function keepHead({ folder }: Origin, shard: number, note: string): Promise<void> {
  return replaceFile(headOf(folder, shard), note)
}

/** False where another process has made one meanwhile. */
async function makeOrigin(dataDir: string, name: string): Promise<boolean> {
  try {
    await createFile(keysOf(folderOf(dataDir, name)), formatKeys([makeSigningKey(name)]))
    return await createFile(nameOf(dataDir), `${name}\n`)
  } catch (error) {
    throw new UserError(
      `The key of the transparency log can't be written to ${dataDir}, which TALLYBOOK_DATA_DIR ` +
        `names: ${(error as Error).message}`,
    )
  }
}

const randomName = () => `tallybook-${randomBytes(4).toString('hex')}`

const nameOf = (dataDir: string) => join(dataDir, 'transparency', 'origin')
const folderOf = (dataDir: string, name: string) =>
  join(dataDir, 'transparency', encodeURIComponent(name))
const keysOf = (folder: string) => join(folder, 'keys')
const headOf = (folder: string, shard: number) => join(folder, 'heads', String(shard))
const previousOf = (folder: string, shard: number) => join(folder, 'previous', String(shard))

const formatKeys = (keys: SigningKey[]) => keys.map((key) => `${formatSigningKey(key)}\n`).join('')

const writeKeys = (folder: string, keys: SigningKey[]) =>
  replaceFile(keysOf(folder), formatKeys(keys))

async function readName(dataDir: string): Promise<string | null> {
  const text = await readIfThere(nameOf(dataDir))
  return text === null ? null : text.trim()
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return null
    throw error
  }
}
