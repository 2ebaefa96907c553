import { join } from 'node:path'

/** What runs of the tests leave for the next one; may be removed at any time. */
export const CACHE = join(import.meta.dir, '../../node_modules/.cache/tallybook-test')
