/** Makes a JSON number of exactly these digits (ECMAScript's JSON.rawJSON, in Bun). */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }

/** JSON in which a bigint is a number with all its digits. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, member) =>
    typeof member === 'bigint' ? rawJSON(member.toString()) : member,
  )
}

export function jsonResponse(value: unknown, headers: Record<string, string> = {}): Response {
  return new Response(toJson(value), {
    headers: { 'content-type': 'application/json', ...headers },
  })
}
