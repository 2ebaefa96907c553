/** What a token may do: `dp` posts flushes, `admin` manages and reads, `auditor` reads. */
export const ROLES = ['dp', 'admin', 'auditor'] as const
export type Role = (typeof ROLES)[number]

/** The environment variables with the fixed token of each role. */
export const TOKEN_VARIABLES: { readonly [Name in Role]: `TALLYBOOK_${Uppercase<Name>}_TOKEN` } = {
  dp: 'TALLYBOOK_DP_TOKEN',
  admin: 'TALLYBOOK_ADMIN_TOKEN',
  auditor: 'TALLYBOOK_AUDITOR_TOKEN',
}

/** The identity behind a known token. Its name is the source of the events it posts. */
export type Principal = { name: string; role: Role }
