import { Refusal } from './error.ts'

/** The required attributes of a session, libpq's target_session_attrs. */
export type SessionAttributes =
  | 'any'
  | 'read-write'
  | 'read-only'
  | 'primary'
  | 'standby'
  | 'prefer-standby'

/** The state of a session, as its first statement returns it. */
export type Session = {
  standby: boolean
  read_only: 'on' | 'off'
  /** The current role, search_path and synchronous_commit. */
  role: string
  path: string
  commit: string
}

/** SQL of the columns of a Session, which follow the columns that set it up. */
export const SESSION_COLUMNS = `pg_is_in_recovery() as standby,
  current_setting('transaction_read_only') as read_only, current_user as role,
  current_setting('search_path') as path, current_setting('synchronous_commit') as commit`

/** Returns a Refusal if the server of a session lacks the required attributes, else null. */
export function refuseServer(session: Session, attributes: SessionAttributes): Refusal | null {
  const { standby, read_only } = session
  const refuse = (message: string) => new Refusal(message, 'SESSION_REFUSED')
  switch (attributes) {
    case 'any':
      return null
    case 'read-write':
      return read_only === 'on' ? refuse('the server is read-only') : null
    case 'read-only':
      return read_only === 'off' ? refuse('the server is not read-only') : null
    case 'primary':
      return standby ? refuse('the server is a standby') : null
    case 'standby':
    case 'prefer-standby':
      return standby ? null : refuse('the server is not a standby')
  }
}

/** The required state of a session after its first statement. A null `role` allows any role. */
export type RequiredState = { role: string | null; path: string; isDurable: boolean }

/** Returns a Refusal if the first statement of a session did not take effect, else null. */
export function refuseState(
  { role, path, commit }: Session,
  required: RequiredState,
): Refusal | null {
  const wrong =
    required.role !== null && role !== required.role
      ? `the role ${role} instead of ${required.role}`
      : path !== required.path
        ? `search_path = ${path}`
        : required.isDurable && commit !== 'on' && commit !== 'remote_apply'
          ? `synchronous_commit = ${commit}`
          : null
  if (wrong === null) return null
  return new Refusal(`after its setup a session still has ${wrong}`, 'SESSION_REFUSED')
}
