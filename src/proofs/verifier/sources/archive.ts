import { join } from 'node:path'
import type { Problem } from '../../../archive/check.ts'
import type { Manifest } from '../../../archive/manifest.ts'
import { openArchive } from '../../../archive/open.ts'
import { PartError, readPart } from '../../../archive/read-part.ts'
import { readSignedHeads } from '../../../archive/transparency.ts'
import { UserError } from '../../../platform/user-error.ts'
import { type LogSource, SourceError } from '../index.ts'

/** Matches the type of an event at the start of its line. */
const TYPE = /^\{"shard":\d+,"position":\d+,"type":"(\w+)"/

/**
 * Opens an archive as the source of an audit. `problems` are those of its manifest. Throws
 * UserError if the manifest can't be read.
 */
export async function openArchiveSource(
  directory: string,
): Promise<{ source: LogSource; problems: Problem[] }> {
  const { manifest, problems } = await openArchive(directory)
  if (manifest === null) {
    throw new UserError(`${directory}: ${problems.map(({ message }) => message).join('; ')}`)
  }
  const { keys, heads } = await readSignedHeads(directory, manifest)
  const source: LogSource = {
    shards: manifest.shards.length,
    sizes: manifest.shards.map(({ events }) => events),
    readKeys: async () => keys,
    readHead: async (shard) => heads.get(shard) ?? null,
    published: null,
    pages: null,
    events: {
      readLines: (shard, from, to) => readLines(directory, manifest, { shard, from, to }),
      readEventsOfType: async function* (shard, type, from, to) {
        // Most archives have no such event, as their manifest states. A wrong manifest is found by
        // the walk, which confirms every such event.
        if (!manifest.shards[shard]?.types[type]) return
        for await (const line of readLines(directory, manifest, { shard, from, to })) {
          if (TYPE.exec(line)?.[1] === type) yield line
        }
      },
    },
  }
  return { source, problems }
}

type Range = { shard: number; from: number; to: number }

async function* readLines(directory: string, manifest: Manifest, { shard, from, to }: Range) {
  for (const part of manifest.shards[shard]?.parts ?? []) {
    if (part.last_position < from || part.first_position >= to) continue
    let position = part.first_position
    try {
      for await (const lines of readPart(join(directory, part.file))) {
        for (const line of lines) if (position++ >= from) yield line
      }
    } catch (error) {
      if (error instanceof PartError) throw new SourceError(`${part.file}: ${error.message}`)
      throw error
    }
  }
}
