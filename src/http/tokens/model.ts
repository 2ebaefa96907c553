import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { ROLES } from '../../auth/roles.ts'
import { NAME } from '../../auth/token-store.ts'

const Name = Type.String({
  pattern: `^${NAME}$`,
  description: 'Lower-case letters, digits, dots, hyphens and underscores, 63 at most',
  examples: ['proxy-eu-1'],
})

const RoleName = Type.Union(
  ROLES.map((role) => Type.Literal(role)),
  { description: 'What it may do' },
)

export const NameParams = Type.Object({ name: Name })

/** Body of POST /admin/tokens. */
export const TokenBody = Type.Object({ name: Name, role: RoleName })

const check = TypeCompiler.Compile(TokenBody)

/** The body, or what is wrong with it. */
export function parseTokenBody(text: string): Static<typeof TokenBody> | string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return 'not JSON'
  }
  if (check.Check(body)) return body
  const { path, schema } = check.Errors(body).First()!
  return `${path || '/'}: ${schema.description ?? 'expected an object with name and role'}`
}

export const StoredTokenModel = Type.Object({
  name: Name,
  role: RoleName,
  created_at: Type.String({ format: 'date-time' }),
  revoked_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})
