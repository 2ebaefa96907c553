/** What a token may do: `dp` posts flushes, `admin` manages and reads, `auditor` reads. */
export const ROLES = ['dp', 'admin', 'auditor'] as const
export type Role = (typeof ROLES)[number]

/** Where the environment has the fixed token of a role. */
export const TOKEN_VARIABLES: Record<Role, string> = {
  dp: 'TALLYBOOK_DP_TOKEN',
  admin: 'TALLYBOOK_ADMIN_TOKEN',
  auditor: 'TALLYBOOK_AUDITOR_TOKEN',
}

/** Who a known token is. Its name is the source of what it posts. */
export type Principal = { name: string; role: Role }
