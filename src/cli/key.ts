import { UserError } from '../platform/user-error.ts'
import {
  findNameProblem,
  formatSigningKey,
  formatVerifierKey,
  makeSigningKey,
} from '../proofs/merkle/key.ts'
import {
  findOrigin,
  keysOfShard,
  readOrigin,
  readPersistedHead,
  retireKeys,
  rotateKey,
  startOrigin,
} from '../proofs/transparency/origin.ts'
import { readConfig } from '../service/config.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE =
  'Usage: tallybook key [generate <name> | rotate | retire | new-origin <name>]\n' +
  'Without an argument it prints the verifier keys. generate prints a new signing key, which\n' +
  'is a secret, for TALLYBOOK_LOG_KEYS. Other changes take effect at the next start.'

/** Shows, rotates and replaces the keys that sign the transparency log of this data directory. */
export async function key(args: string[]): Promise<void> {
  const [action, name, ...rest] = args
  if (action === undefined) return show()
  if (action === 'generate' && name !== undefined && rest.length === 0) return generate(name)
  if (action === 'rotate' && name === undefined) return rotate()
  if (action === 'retire' && name === undefined) return retire()
  if (action === 'new-origin' && name !== undefined && rest.length === 0) return renew(name)
  throw new UserError(USAGE)
}

async function show(): Promise<void> {
  const { dataDir, logKeys, shards } = readConfig(process.env)
  const origin = await readOrigin(dataDir, logKeys)
  for (let shard = 0; shard < shards; shard++) {
    for (const signing of keysOfShard(origin, shard)) console.log(formatVerifierKey(signing))
  }
}

function generate(name: string): void {
  requireName(name)
  console.log(formatSigningKey(makeSigningKey(name)))
}

async function rotate(): Promise<void> {
  const { dataDir, logKeys } = readConfig(process.env)
  await rotateKey(await readOrigin(dataDir, logKeys))
  console.log(
    'From the next start on, tree heads are also signed with a new key. Give auditors its',
  )
  console.log('verifier keys, the first of each shard in `tallybook key`, then run `key retire`.')
}

async function retire(): Promise<void> {
  const { dataDir, logKeys, shards } = readConfig(process.env)
  const retired = await retireKeys(await readOrigin(dataDir, logKeys), shards)
  console.log(`From the next start on, ${retired} older key(s) no longer sign.`)
}

async function renew(name: string): Promise<void> {
  const { dataDir, logKeys, shards } = readConfig(process.env)
  requireName(name)
  const origin = await findOrigin(dataDir)
  const heads = new Map<number, string>()
  for (let shard = 0; shard < shards; shard++) {
    const head = await readPersistedHead(origin, shard)
    if (head !== null) heads.set(shard, head)
  }
  await startOrigin(dataDir, name, heads, logKeys)
  console.log(`From the next start on, the log is signed as ${name}, with a new key. It links to`)
  console.log(`the last tree heads of ${origin.name}; its files stay in ${origin.folder}.`)
}

/** Throws UserError if a text can't be the name of a log. */
function requireName(name: string): void {
  const problem = findNameProblem(name)
  if (problem !== null) throw new UserError(`The name ${problem}.`)
}
