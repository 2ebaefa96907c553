import { join } from 'node:path'

/** The folder of files that runs leave for the next one; may be removed at any time. */
export const CACHE = join(import.meta.dir, '../../node_modules/.cache/tallybook-test')
