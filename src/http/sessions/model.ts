import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'

/** Body of POST /session. */
export const SignInBody = Type.Object(
  { token: Type.String({ minLength: 1, maxLength: 255, description: "An admin's or auditor's" }) },
  { additionalProperties: false },
)

const check = TypeCompiler.Compile(SignInBody)

/** The body, or what is wrong with it. */
export function parseSignIn(text: string): Static<typeof SignInBody> | string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return 'The body is not JSON.'
  }
  return check.Check(body) ? body : 'Send {"token":"…"}, and nothing else.'
}

const time = Type.String({ format: 'date-time' })

export const SessionBody = Type.Object(
  {
    name: Type.String({ description: "The token's" }),
    role: Type.String({ description: '`admin` or `auditor`' }),
    expires_at: Type.Union([time, Type.Null()], {
      description: 'null where a token was sent instead of a cookie',
    }),
  },
  { title: 'Session' },
)

/** Null: nobody is signed in. */
export const ShownBody = Type.Union([SessionBody, Type.Null()], { title: 'SessionOrNobody' })
