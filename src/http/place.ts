import type { TSchema } from '@sinclair/typebox'
import type { TypeCheck } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'

/** Characters of a place that are shown: a client may have chosen a name in it. */
const PLACE_LENGTH = 100

/** Turns the JSON pointer `/api_keys/3/name` into `api_keys[3].name`. */
export function placeOf(pointer: string): string {
  const place = pointer.replaceAll(/\/(\d+)(?=\/|$)/g, '[$1]').replaceAll('/', '.')
  return place === '' ? 'The body' : place.slice(1, PLACE_LENGTH)
}

/** Returns a sentence that describes the first fault of a value that a schema refuses. */
export function describeFault<Schema extends TSchema>(
  check: TypeCheck<Schema>,
  value: unknown,
): string {
  const error = check.Errors(value).First()
  if (error === undefined) return 'The body is invalid.'
  return `${placeOf(error.path)}: ${reasonOf(error, error.schema.description)}.`
}

/**
 * Returns what is wrong, without a full stop. A text that does not match a pattern is answered with
 * the description of the field, and a field that may be null with what is wrong with the value.
 */
function reasonOf({ type, schema, message, errors }: ValueError, description?: string): string {
  if (type === ValueErrorType.StringPattern) return description ?? message
  if (type !== ValueErrorType.Union) return message
  const variants = (schema.anyOf as TSchema[]).flatMap(({ type }, i) => (type === 'null' ? [] : i))
  const [first, ...others] = variants.map((i) => errors[i]?.First())
  return first === undefined || others.length > 0 ? message : reasonOf(first, description)
}
