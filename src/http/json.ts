/** Makes a JSON number with exactly these digits (ECMAScript's JSON.rawJSON, which Bun has). */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }

/** Formats JSON; a bigint becomes a number with all its digits. */
export function toJson(value: unknown): string {
  try {
    // Usage of a year by the hour takes 3 ms this way, and 12 ms with a replacer function.
    return JSON.stringify(value)
  } catch (error) {
    // The value contains a bigint.
    if (!(error instanceof TypeError)) throw error
    return JSON.stringify(value, writeBigint)
  }
}

const writeBigint = (_: string, member: unknown) =>
  typeof member === 'bigint' ? rawJSON(member.toString()) : member

/** Returns a JSON Response that is typed as its value (see `typedAs`). */
export function jsonResponse<Value>(value: Value, headers: Record<string, string> = {}): Value {
  return typedAs(
    new Response(toJson(value), { headers: { 'content-type': 'application/json', ...headers } }),
  )
}

/**
 * Types a Response as its body: Eden derives the console's types from the type that a handler
 * returns. At run time Elysia gets the Response unchanged.
 */
export function typedAs<Body>(response: Response): Body {
  return response as unknown as Body
}
