import { Refusal } from './error.ts'

/** What a server has to be, as libpq calls it. */
export type SessionAttributes =
  | 'any'
  | 'read-write'
  | 'read-only'
  | 'primary'
  | 'standby'
  | 'prefer-standby'

/** What the first statement of a session says about it. */
export type Session = {
  standby: boolean
  read_only: 'on' | 'off'
  /** The role it works as, where names are looked for, and when a commit is answered. */
  role: string
  path: string
  commit: string
}

/** SQL for the columns of a Session, after those that set it up. */
export const SESSION_COLUMNS = `pg_is_in_recovery() as standby,
  current_setting('transaction_read_only') as read_only, current_user as role,
  current_setting('search_path') as path, current_setting('synchronous_commit') as commit`

/** Why a session isn't with the server that was asked for; null where it is. */
export function refuseServer(session: Session, attributes: SessionAttributes): Refusal | null {
  const { standby, read_only } = session
  const refuse = (message: string) => new Refusal(message, 'SESSION_REFUSED')
  switch (attributes) {
    case 'any':
      return null
    case 'read-write':
      return read_only === 'on' ? refuse('it can only be read') : null
    case 'read-only':
      return read_only === 'off' ? refuse('it can be written') : null
    case 'primary':
      return standby ? refuse('it is a standby') : null
    case 'standby':
    case 'prefer-standby':
      return standby ? null : refuse('it is not a standby')
  }
}

/** What a session has to be after its first statement; `role` null: as it has come. */
export type RequiredState = { role: string | null; path: string; isDurable: boolean }

/** Why a session hasn't become what its first statement made it; null where it has. */
export function refuseState(
  { role, path, commit }: Session,
  required: RequiredState,
): Refusal | null {
  const wrong =
    required.role !== null && role !== required.role
      ? `works as ${role} instead of ${required.role}`
      : path !== required.path
        ? `looks for names in ${path}`
        : required.isDurable && commit !== 'on' && commit !== 'remote_apply'
          ? `commits with synchronous_commit = ${commit}`
          : null
  if (wrong === null) return null
  return new Refusal(`a session there ${wrong}, whatever it is told`, 'SESSION_REFUSED')
}
