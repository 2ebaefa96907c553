/** The members in which shippers of logs put a line as text. */
const WRAPPERS = ['log', 'message'] as const

/**
 * Reads the records of a body: a JSON array, an object, or objects one after the other, by lines or
 * not. A record that is not JSON is undefined, and the next line is read. Null is left out: some
 * senders post it.
 */
export function readRecords(text: string): unknown[] {
  const values = parseAll(text)
  const records = values.length === 1 && Array.isArray(values[0]) ? values[0] : values
  return (records as unknown[]).filter((record) => record !== null).map(unwrap)
}

function parseAll(text: string): unknown[] {
  const whole = parse(text)
  if (whole !== undefined) return [whole]
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const values = lines.map(parse)
  const objects = values.filter((value) => typeof value === 'object').length
  // A broken line does not turn lines into objects that go over several of them.
  return objects * 2 >= lines.length ? values : [...splitValues(text)].map(parse)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Splits a text after each complete object or array, and after each line outside of one. */
function* splitValues(text: string): Generator<string> {
  let start = 0
  let depth = 0
  let inString = false
  const takeTo = function* (end: number) {
    const part = text.slice(start, end).trim()
    start = end
    depth = 0
    inString = false
    if (part !== '') yield part
  }
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    // JSON has no line break within a string, so one ends whatever is broken there.
    if (char === '\n' && (inString || depth === 0)) yield* takeTo(i)
    else if (inString) {
      if (char === '\\') i++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '{' || char === '[') depth++
    else if ((char === '}' || char === ']') && --depth <= 0) yield* takeTo(i + 1)
  }
  yield* takeTo(text.length)
}

/** A record that a shipper has put into another one as a text. */
function unwrap(record: unknown): unknown {
  if (typeof record !== 'object' || record === null) return record
  for (const name of WRAPPERS) {
    const line = (record as Record<string, unknown>)[name]
    if (typeof line !== 'string' || !line.startsWith('{')) continue
    try {
      const inner = JSON.parse(line)
      return { ...(record as object), ...inner }
    } catch {}
  }
  return record
}
