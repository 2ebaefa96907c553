import type { Role } from '../../auth/roles.ts'

/** Who may read the transparency log: route options, and who may keep a copy. */
export type Access = {
  roles: { roles?: readonly Role[] }
  cache: 'public' | 'private'
}

/** Auditors and admins; or everyone, where the operator made the log public. */
export function accessTo(isPublic: boolean): Access {
  return isPublic
    ? { roles: {}, cache: 'public' }
    : { roles: { roles: ['admin', 'auditor'] }, cache: 'private' }
}
