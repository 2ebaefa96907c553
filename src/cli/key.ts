import { UserError } from '../platform/user-error.ts'
import { findNameProblem, formatVerifierKey } from '../proofs/merkle/key.ts'
import {
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
  'Usage: tallybook key [rotate | retire | new-origin <name>]\n' +
  'Without an argument it prints the verifier keys. Changes take effect at the next start.'

/** Shows, rotates and replaces the keys that sign the transparency log of this data directory. */
export async function key(args: string[]): Promise<void> {
  const [action, name, ...rest] = args
  if (action === undefined) return show()
  if (action === 'rotate' && name === undefined) return rotate()
  if (action === 'retire' && name === undefined) return retire()
  if (action === 'new-origin' && name !== undefined && rest.length === 0) return renew(name)
  throw new UserError(USAGE)
}

async function show(): Promise<void> {
  const { dataDir, shards } = readConfig(process.env)
  const origin = await readOrigin(dataDir)
  for (let shard = 0; shard < shards; shard++) {
    for (const signing of keysOfShard(origin, shard)) console.log(formatVerifierKey(signing))
  }
}

async function rotate(): Promise<void> {
  await rotateKey(await readOrigin(readConfig(process.env).dataDir))
  console.log(
    'From the next start on, tree heads are also signed with a new key. Give auditors its',
  )
  console.log('verifier keys, the first of each shard in `tallybook key`, then run `key retire`.')
}

async function retire(): Promise<void> {
  const { dataDir, shards } = readConfig(process.env)
  const retired = await retireKeys(await readOrigin(dataDir), shards)
  console.log(`From the next start on, ${retired} older key(s) no longer sign.`)
}

async function renew(name: string): Promise<void> {
  const { dataDir, shards } = readConfig(process.env)
  const problem = findNameProblem(name)
  if (problem !== null) throw new UserError(`The name ${problem}.`)
  const origin = await readOrigin(dataDir)
  const heads = new Map<number, string>()
  for (let shard = 0; shard < shards; shard++) {
    const head = await readPersistedHead(origin, shard)
    if (head !== null) heads.set(shard, head)
  }
  await startOrigin(dataDir, name, heads)
  console.log(`From the next start on, the log is signed as ${name}, with a new key. It links to`)
  console.log(`the last tree heads of ${origin.name}; the old keys stay in ${origin.folder}.`)
}
