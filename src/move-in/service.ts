import { UserError } from '../platform/user-error.ts'

/** Sends a request to the service as an administrator, with a body that is text. */
export type Request = (
  method: string,
  path: string,
  body?: string,
  headers?: Record<string, string>,
) => Promise<Response>

/** A refusal by the service, with the stable `error` of its answer. */
export class Refused extends UserError {
  override name = 'Refused'

  constructor(
    readonly status: number,
    readonly error: string,
    message: string,
  ) {
    super(message)
  }
}

/** How often a request is repeated that the service cannot answer now. */
const ATTEMPTS = 10
const MAX_WAIT_S = 10

/** The service that rows are moved to, over HTTP. Whole numbers of answers are exact. */
export class Service {
  constructor(private readonly request: Request) {}

  /** Sends a request and returns the JSON of the answer. Throws Refused. */
  async send<Answer>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    for (let attempt = 1; ; attempt++) {
      const response = await this.request(method, path, text, headers)
      const answer = await response.text()
      if (response.ok) return (answer === '' ? null : parseExact(answer)) as Answer
      const seconds = Number(response.headers.get('retry-after') ?? 'NaN')
      if (seconds >= 0 && attempt < ATTEMPTS) {
        await Bun.sleep(1_000 * Math.min(seconds, MAX_WAIT_S))
        continue
      }
      throw toRefused(method, path, response.status, answer)
    }
  }

  /** Reads all pages of a list. */
  async readAll<Row>(path: string): Promise<Row[]> {
    const rows: Row[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const from: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const page: { items: Row[]; next_cursor: string | null } = await this.send(
        'GET',
        `${path}${path.includes('?') ? '&' : '?'}limit=1000${from}`,
      )
      rows.push(...page.items)
      cursor = page.next_cursor
    }
    return rows
  }
}

function toRefused(method: string, path: string, status: number, answer: string): Refused {
  let problem = { error: answer, detail: undefined as string | undefined }
  try {
    problem = JSON.parse(answer)
  } catch {
    // The answer of another program, such as a proxy.
  }
  const { error, detail } = problem
  const reason = detail === undefined ? error : `${error}: ${detail}`
  return new Refused(status, error, `${method} ${path} answered ${status}, ${reason}`)
}

/** Parses JSON with whole numbers above 2^53 - 1 as bigints. */
function parseExact(text: string): unknown {
  // A reviver takes ten times as long.
  if (!/\d{16}/.test(text)) return JSON.parse(text)
  return JSON.parse(text, function reviver(this: unknown, ...args: unknown[]) {
    const [, value, context] = args as [string, unknown, { source?: string } | undefined]
    const isRounded = typeof value === 'number' && !Number.isSafeInteger(value)
    return isRounded && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context!.source!) : value
  })
}
