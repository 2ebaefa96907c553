import type { Principal } from '../auth/roles.ts'
import type { Session } from '../auth/sessions.ts'

/** The authenticated caller of a request, with their session if they used one. */
export type Caller = Principal & Partial<Session>
