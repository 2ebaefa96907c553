import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { ROLES } from '../../auth/roles.ts'
import { NAME } from '../../auth/token-store.ts'

const Name = Type.String({
  pattern: `^${NAME}$`,
  description: 'At most 63 lower-case letters, digits, dots, hyphens and underscores',
  examples: ['proxy-eu-1'],
})

const RoleName = Type.Union(
  ROLES.map((role) => Type.Literal(role)),
  { description: 'The role of the token: `dp`, `admin` or `auditor`' },
)

export const NameParams = Type.Object({ name: Name })

/** The body of POST /admin/tokens. */
export const TokenBody = Type.Object({ name: Name, role: RoleName })

const check = TypeCompiler.Compile(TokenBody)

/** Parses the body, or returns a text that describes what is wrong with it. */
export function parseTokenBody(text: string): Static<typeof TokenBody> | string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return 'The body is not JSON.'
  }
  if (check.Check(body)) return body
  const { path, schema } = check.Errors(body).First()!
  return `${path || '/'}: ${schema.description ?? 'Send an object with `name` and `role`'}.`
}

export const StoredTokenModel = Type.Object({
  name: Name,
  role: RoleName,
  created_at: Type.String({ format: 'date-time' }),
  revoked_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})
