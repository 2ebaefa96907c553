/** What a token may do: `dp` posts flushes, `admin` manages and reads, `auditor` reads. */
export const ROLES = ['dp', 'admin', 'auditor'] as const
export type Role = (typeof ROLES)[number]

/** Who a known token is. Its name is the source of what it posts. */
export type Principal = { name: string; role: Role }
