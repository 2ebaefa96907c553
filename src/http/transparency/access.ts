import type { Role } from '../../auth/roles.ts'

/** Access to the transparency log: the route option `roles`, and the caches that may store it. */
export type Access = {
  roles: { roles?: readonly Role[] }
  cache: 'public' | 'private'
}

/** Returns access for everyone if the log is public, otherwise for admins and auditors. */
export function accessTo(isPublic: boolean): Access {
  return isPublic
    ? { roles: {}, cache: 'public' }
    : { roles: { roles: ['admin', 'auditor'] }, cache: 'private' }
}
