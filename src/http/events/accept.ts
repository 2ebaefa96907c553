/** The formats in which the log can be read. */
export const FORMS = ['application/json', 'application/x-ndjson', 'text/event-stream'] as const
export type Form = (typeof FORMS)[number]

type Range = { type: string; quality: number }

/**
 * Returns the format that an Accept header prefers (RFC 9110): the one with the highest quality,
 * then the one that is named exactly, then the one named first. Returns JSON if the header accepts
 * none of the formats, or anything.
 */
export function chooseForm(accept: string | null): Form {
  const ranges = (accept ?? '').split(',').map(parseRange)
  let chosen: Form = 'application/json'
  let best = [0, 0, 0]
  for (const form of FORMS) {
    const rank = rankOf(form, ranges)
    if (rank[0]! > 0 && isGreater(rank, best)) {
      chosen = form
      best = rank
    }
  }
  return chosen
}

/** Returns the quality of a format, how exactly it is named, and how early. */
function rankOf(form: Form, ranges: Range[]): number[] {
  const names = [form, `${form.split('/')[0]}/*`, '*/*']
  for (const [i, name] of names.entries()) {
    const found = ranges.findIndex(({ type }) => type === name)
    if (found >= 0) return [ranges[found]!.quality, -i, -found]
  }
  return [0, 0, 0]
}

function isGreater(rank: number[], best: number[]): boolean {
  for (const [i, value] of rank.entries()) if (value !== best[i]) return value > best[i]!
  return false
}

/** Parses `text/event-stream; q=0.5`; an invalid quality counts as 0. */
function parseRange(text: string): Range {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const quality = parameters.find((parameter) => parameter.startsWith('q='))
  if (quality === undefined) return { type, quality: 1 }
  const value = Number(quality.slice(2))
  return { type, quality: value >= 0 && value <= 1 ? value : 0 }
}
