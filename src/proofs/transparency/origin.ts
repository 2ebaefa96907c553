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
 *
 * Instances that share a log may read `keys` from another file (TALLYBOOK_LOG_KEYS), which also
 * states the name.
 */
export type Origin = {
  name: string
  folder: string
  /** The file that has the keys. */
  keysFile: string
  keys: SigningKey[]
}

/**
 * Opens the origin of a data directory. The first start makes it: with the keys of `keysFile`, or
 * with a new one under the requested name or a random one. Throws UserError if it has another name
 * than requested, or if its keys can't be read.
 */
export async function openOrigin(
  dataDir: string,
  requested: string | null,
  keysFile: string | null = null,
): Promise<{ origin: Origin; made: boolean }> {
  const name = await readName(dataDir)
  const shared = keysFile === null ? null : await readKeys(keysFile)
  const made =
    name === null &&
    (shared === null
      ? await makeOrigin(dataDir, requested ?? randomName())
      : await useKeys(dataDir, shared.name))
  const origin = await readOrigin(dataDir, keysFile)
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
  keysFile: string | null = null,
): Promise<{ keys: string[]; heads: Map<number, string> } | null> {
  const origin = await readSigner(dataDir, keysFile)
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
 * Reads the origin of a data directory. Throws UserError if there is none, if its keys are invalid,
 * or if `keysFile` has those of another origin.
 */
export async function readOrigin(dataDir: string, keysFile: string | null = null): Promise<Origin> {
  const known = await readName(dataDir)
  if (keysFile !== null) {
    const { name, keys } = await readKeys(keysFile)
    if (known === null || known === name) {
      return { name, folder: folderOf(dataDir, name), keysFile, keys }
    }
    throw new UserError(
      `${keysFile} has keys of ${name}, but the log has been signed as ${known}. Auditors know ` +
        'it by that name: use its keys, or start a new origin on purpose with ' +
        `\`tallybook key new-origin ${name}\`.`,
    )
  }
  const { folder } = await findOrigin(dataDir)
  const own = keysOf(folder)
  const { name, keys } = await readKeys(own)
  if (name === known) return { name, folder, keysFile: own, keys }
  throw new UserError(`${own} has signing keys of ${name} instead of ${known}.`)
}

/** Returns the name and folder of the last start. Throws UserError if there was none. */
export async function findOrigin(dataDir: string): Promise<Pick<Origin, 'name' | 'folder'>> {
  const name = await readName(dataDir)
  if (name !== null) return { name, folder: folderOf(dataDir, name) }
  throw new UserError(
    `There is no transparency log key in ${dataDir}. Start the service once with that ` +
      'TALLYBOOK_DATA_DIR, or set the one it uses.',
  )
}

/** Like `readOrigin`, but returns null if there is no origin yet. */
export async function readSigner(
  dataDir: string,
  keysFile: string | null = null,
): Promise<Origin | null> {
  const isNew = keysFile === null && (await readName(dataDir)) === null
  return isNew ? null : readOrigin(dataDir, keysFile)
}

/** The name of a shard's tree, which is also the name of the keys that sign it. */
export const originOf = (name: string, shard: number) => `${name}/audit/log/${shard}`

/** Returns the keys that sign a shard's tree: the origin's keys, under the shard's name. */
export function keysOfShard({ name, keys }: Origin, shard: number): SigningKey[] {
  return keys.map(({ seed }) => makeSigningKey(originOf(name, shard), seed))
}

/** Adds a new key before the existing ones. From the next start on, all of them sign. */
export async function rotateKey(origin: Origin): Promise<void> {
  await writeKeys(origin, [makeSigningKey(origin.name), ...origin.keys])
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
  await writeKeys(origin, [newest!])
  return older.length
}

/**
 * Ends an origin and starts another, with the keys of `keysFile` or a new one. It will link `heads`
 * (notes, by shard). The files of the old origin stay in its folder. If killed before the last
 * step, nothing has changed. Throws UserError if there was an origin of that name, or if `keysFile`
 * has keys of another.
 */
export async function startOrigin(
  dataDir: string,
  name: string,
  heads: ReadonlyMap<number, string>,
  keysFile: string | null = null,
): Promise<void> {
  const folder = folderOf(dataDir, name)
  const hasOwn =
    keysFile === null
      ? await createFile(keysOf(folder), formatKeys([makeSigningKey(name)]))
      : (await readName(dataDir)) !== name
  if (!hasOwn) throw new UserError(`There already was an origin ${name}: choose another name.`)
  if (keysFile !== null && (await readKeys(keysFile)).name !== name) {
    throw new UserError(`${keysFile} has no keys of ${name}.`)
  }
  for (const [shard, note] of heads) await replaceFile(previousOf(folder, shard), note)
  await replaceFile(nameOf(dataDir), `${name}\n`)
}

/** Reads the last tree head (note) of the previous origin, or null if the shard has none. */
export function readPrevious({ folder }: Origin, shard: number): Promise<string | null> {
  return readIfExists(previousOf(folder, shard))
}

/** Reads the last signed tree head (note), or null if none was signed. */
export function readPersistedHead(
  { folder }: Pick<Origin, 'folder'>,
  shard: number,
): Promise<string | null> {
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

/** Makes an origin whose keys are in a file of their own. Returns false if another process did. */
async function useKeys(dataDir: string, name: string): Promise<boolean> {
  return createFile(nameOf(dataDir), `${name}\n`).catch((error: Error) => {
    throw new UserError(
      `The name of the transparency log can't be written to TALLYBOOK_DATA_DIR (${dataDir}): ` +
        error.message,
    )
  })
}

/** Reads signing keys, which all have one name. Throws UserError if a file has anything else. */
async function readKeys(path: string): Promise<{ name: string; keys: SigningKey[] }> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new UserError(`The signing keys can't be read: ${error.message}`)
  })
  const keys = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => parseSigningKey(line.trim()))
  const name = keys[0]?.name
  if (name === undefined || keys.some((key) => key?.name !== name)) {
    throw new UserError(`${path} contains something other than signing keys of one name.`)
  }
  return { name, keys: keys as SigningKey[] }
}

const randomName = () => `tallybook-${randomBytes(4).toString('hex')}`

const nameOf = (dataDir: string) => join(dataDir, 'transparency', 'origin')
const folderOf = (dataDir: string, name: string) =>
  join(dataDir, 'transparency', encodeURIComponent(name))
const keysOf = (folder: string) => join(folder, 'keys')
const headOf = (folder: string, shard: number) => join(folder, 'heads', String(shard))
const previousOf = (folder: string, shard: number) => join(folder, 'previous', String(shard))

const formatKeys = (keys: SigningKey[]) => keys.map((key) => `${formatSigningKey(key)}\n`).join('')

async function writeKeys({ keysFile }: Origin, keys: SigningKey[]): Promise<void> {
  await replaceFile(keysFile, formatKeys(keys)).catch((error: Error) => {
    throw new UserError(`The signing keys can't be written: ${error.message}`)
  })
}

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
