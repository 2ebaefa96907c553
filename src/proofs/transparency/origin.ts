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
 * The name and the keys that sign the trees. They are stored in the data directory and never in the
 * database, so that write access to the log does not suffice to sign it:
 *
 *     transparency/origin                   the name, `stats.example.com`
 *     transparency/stats.example.com/keys   signing keys, a line each, the newest first (mode 0600)
 *     transparency/stats.example.com/heads/0      the last signed tree head of shard 0
 *     transparency/stats.example.com/previous/0   the last one of the previous origin, if any
 */
export type Origin = { name: string; folder: string; keys: SigningKey[] }

/**
 * Opens the origin of a data directory. The first start makes it, under the requested name or a
 * random one. Throws UserError if it has another name than requested, or if its keys can't be read.
 */
export async function openOrigin(
  dataDir: string,
  requested: string | null,
): Promise<{ origin: Origin; made: boolean }> {
  const name = await readName(dataDir)
  const made = name === null && (await makeOrigin(dataDir, requested ?? randomName()))
  const origin = await readOrigin(dataDir)
  if (requested === null || requested === origin.name) return { origin, made }
  throw new UserError(
    `TALLYBOOK_LOG_ORIGIN is ${requested}, but the log has been signed as ${origin.name}. ` +
      'Auditors know it by that name: unset the variable, or start a new origin on purpose with ' +
      `\`tallybook key new-origin ${requested}\`.`,
  )
}

/**
 * Reads the verifier keys and the last tree heads of a data directory, for export with the log.
 * Returns null if it has no origin.
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

/**
 * Reads the origin of a data directory. Throws UserError if there is none or its keys are invalid.
 */
export async function readOrigin(dataDir: string): Promise<Origin> {
  const name = await readName(dataDir)
  if (name === null) {
    throw new UserError(
      `There is no transparency log key in ${dataDir}. Start the service once with that ` +
        'TALLYBOOK_DATA_DIR, or set the one it uses.',
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
    throw new UserError(`${path} contains something other than signing keys of ${name}.`)
  }
  return { name, folder, keys: keys as SigningKey[] }
}

/** Like `readOrigin`, but returns null if the data directory has no origin. */
export async function readSigner(dataDir: string): Promise<Origin | null> {
  return (await readName(dataDir)) === null ? null : readOrigin(dataDir)
}

/** The name of a shard's tree, which is also the name of the keys that sign it. */
export const originOf = (name: string, shard: number) => `${name}/audit/log/${shard}`

/** Returns the keys that sign a shard's tree: the origin's keys, under the shard's name. */
export function keysOfShard({ name, keys }: Origin, shard: number): SigningKey[] {
  return keys.map(({ seed }) => makeSigningKey(originOf(name, shard), seed))
}

/** Adds a new key before the existing ones. From the next start on, all of them sign. */
export async function rotateKey(origin: Origin): Promise<void> {
  await writeKeys(origin.folder, [makeSigningKey(origin.name), ...origin.keys])
}

/**
 * Removes all keys but the newest and returns how many. Throws UserError if the newest has not
 * signed yet: neither auditors nor the next start could link it to the others.
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
 * Ends an origin and starts another with a new key, which will link `heads` (notes, by shard). The
 * files of the old origin stay in its folder. If killed before the last step, nothing has changed.
 * Throws UserError if there was an origin of that name.
 */
export async function startOrigin(
  dataDir: string,
  name: string,
  heads: ReadonlyMap<number, string>,
): Promise<void> {
  const folder = folderOf(dataDir, name)
  if (!(await createFile(keysOf(folder), formatKeys([makeSigningKey(name)])))) {
    throw new UserError(`There already was an origin ${name}: choose another name.`)
  }
  for (const [shard, note] of heads) await replaceFile(previousOf(folder, shard), note)
  await replaceFile(nameOf(dataDir), `${name}\n`)
}

/** Reads the last tree head (note) of the previous origin, or null if the shard has none. */
export function readPrevious({ folder }: Origin, shard: number): Promise<string | null> {
  return readIfExists(previousOf(folder, shard))
}

/** Reads the last signed tree head (note), or null if none was signed. */
export function readPersistedHead({ folder }: Origin, shard: number): Promise<string | null> {
  return readIfExists(headOf(folder, shard))
}

/** Persists a tree head. It is on disk when this resolves, and must not be served before. */
export function persistHead({ folder }: Origin, shard: number, note: string): Promise<void> {
  return replaceFile(headOf(folder, shard), note)
}

/** Makes an origin. Returns false if another process made one first. */
async function makeOrigin(dataDir: string, name: string): Promise<boolean> {
  try {
    await createFile(keysOf(folderOf(dataDir, name)), formatKeys([makeSigningKey(name)]))
    return await createFile(nameOf(dataDir), `${name}\n`)
  } catch (error) {
    throw new UserError(
      `The key of the transparency log can't be written to TALLYBOOK_DATA_DIR (${dataDir}): ` +
        (error as Error).message,
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
  const text = await readIfExists(nameOf(dataDir))
  return text === null ? null : text.trim()
}

async function readIfExists(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return null
    throw error
  }
}
