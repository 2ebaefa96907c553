import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'

/** The body of POST /session. */
export const SignInBody = Type.Object(
  {
    token: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The token of an admin or auditor',
    }),
  },
  { additionalProperties: false },
)

const check = TypeCompiler.Compile(SignInBody)

/** Parses the body, or returns a sentence that describes what is wrong with it. */
export function parseSignIn(text: string): Static<typeof SignInBody> | string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return 'The body is not JSON.'
  }
  return check.Check(body) ? body : 'Send {"token":"…"} and nothing else.'
}

const time = Type.String({ format: 'date-time' })

export const SessionBody = Type.Object(
  {
    name: Type.String({ description: 'The name of the token' }),
    role: Type.String({ description: '`admin` or `auditor`' }),
    expires_at: Type.Union([time, Type.Null()], {
      description: 'null if the request sent a token instead of a cookie',
    }),
  },
  { title: 'Session' },
)

/** The response of GET /session; null if the request has neither a session nor a token. */
export const ShownBody = Type.Union([SessionBody, Type.Null()], { title: 'SessionOrNobody' })
