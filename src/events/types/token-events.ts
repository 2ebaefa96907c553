import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { PayloadError } from '../columns.ts'
import { COUNTS_NOTHING, type EventDefinition } from '../definition.ts'

/** The types of events that record which tokens there are. */
const TOKEN_EVENT_TYPES = ['TokenCreated', 'TokenRevoked'] as const

export const isTokenEvent = (type: string): boolean =>
  (TOKEN_EVENT_TYPES as readonly string[]).includes(type)

/** Pattern of the names of created tokens. */
export const TOKEN_NAME = '[a-z0-9][a-z0-9._-]{0,62}'

/**
 * Payload of `TokenCreated` and of `TokenRevoked`, version 1: what is public of a token. The source
 * of the event is the name of the token with which it was created or revoked.
 *
 *     {"name":"proxy-eu-1","role":"dp"}
 */
const TokenChange = Type.Object({
  name: Type.String({ pattern: `^${TOKEN_NAME}$` }),
  role: Type.Union((['dp', 'admin', 'auditor'] as const).map((role) => Type.Literal(role))),
})
export type TokenChange = Static<typeof TokenChange>

const check = TypeCompiler.Compile(TokenChange)

const tokenChanged: EventDefinition<TokenChange> = {
  ...COUNTS_NOTHING,
  version: 1,
  read: {
    1: (payload) => {
      if (check.Check(payload)) return payload
      const { path, message } = check.Errors(payload).First()!
      throw new PayloadError(`${path} ${message}`.trim())
    },
  },
}

export const tokenCreated = tokenChanged
export const tokenRevoked = tokenChanged
