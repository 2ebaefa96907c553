import { Type } from '@sinclair/typebox'

/** Ids are whole numbers from 1 to 2^53 - 1. */
export const CatalogId = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })

export const TokenHash = Type.String({ minLength: 1, maxLength: 255 })

/** The name of a dimension, a measure or a rule. */
export const DeclaredName = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' })
