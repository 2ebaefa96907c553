import { fileURLToPath } from 'node:url'
import { UserError } from '../platform/user-error.ts'
import { openDirectory } from './stores/directory.ts'
import { openS3 } from './stores/s3.ts'
import { isObjectName, type SegmentStore } from './stores/store.ts'

/**
 * Opens the store that a URL names: `file:///mnt/archive` or `s3://bucket/prefix`. Throws UserError
 * if it names none. Reaches no store yet.
 */
export function openStore(url: string): SegmentStore {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed !== null && parsed.search === '' && parsed.hash === '') {
    const isFolder = parsed.pathname !== '/' && !/%2f/i.test(parsed.pathname)
    if (parsed.protocol === 'file:' && parsed.host === '' && isFolder) {
      return openDirectory(fileURLToPath(parsed).replace(/\/+$/, ''))
    }
    const bucket = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(parsed.host) ? parsed.host : null
    const prefix = parsed.pathname.replace(/^\//, '').replace(/\/+$/, '')
    const isPlain = parsed.username === '' && (prefix === '' || isObjectName(prefix))
    if (parsed.protocol === 's3:' && bucket !== null && isPlain) {
      return openS3({ bucket, prefix: prefix === '' ? '' : `${prefix}/` })
    }
  }
  // Not the URL itself, which may hold a secret.
  throw new UserError(
    'The URL of an archive is file:///directory or s3://bucket/prefix, in lower case, without ' +
      'credentials.',
  )
}
