import { join } from 'node:path'
import { describeCommands } from './cli.ts'
import { describeEnvironment } from './environment.ts'
import { describeHttp } from './http.ts'
import { describeMetrics } from './metrics.ts'

const FOLDER = join(import.meta.dir, '../../docs/reference')

/** The generated documents: path and text of each. */
export async function makePages(): Promise<{ path: string; text: string }[]> {
  const texts = {
    'http.md': await describeHttp(),
    'cli.md': await describeCommands(),
    'environment.md': describeEnvironment(),
    'metrics.md': await describeMetrics(),
  }
  return Object.entries(texts).map(([name, text]) => ({ path: join(FOLDER, name), text }))
}
