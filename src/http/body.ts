import { Problem } from './problem.ts'

/** The body as text (UTF-8, whatever Content-Type says). Throws the 413 problem above the limit. */
export function readBody(request: Request, limitBytes: number): Promise<string> | string {
  const length = request.headers.get('content-length')
  if (length !== null) {
    // The server reads no more than it was told.
    if (Number(length) > limitBytes) throw tooLarge(limitBytes)
    return request.text()
  }
  return request.body === null ? '' : readChunks(request.body, limitBytes)
}

/** A body of unknown length: read until it ends, or is found to be too large. */
async function readChunks(body: ReadableStream<Uint8Array>, limitBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > limitBytes) throw tooLarge(limitBytes)
    chunks.push(chunk)
  }
  return new TextDecoder().decode(Buffer.concat(chunks))
}

const tooLarge = (limitBytes: number) =>
  new Problem(413, 'request body too large', `A body has at most ${limitBytes} bytes.`)
