import { hash } from 'node:crypto'

// As much of S3 as a store of segments uses, in memory: one bucket, without authentication.

export type PlainS3 = { url: string; objects: Map<string, Buffer>; stop(): Promise<void> }

const xml = (text: string, status = 200) =>
  new Response(`<?xml version="1.0" encoding="UTF-8"?>${text}`, {
    status,
    headers: { 'content-type': 'application/xml' },
  })

const failure = (status: number, code: string) =>
  xml(`<Error><Code>${code}</Code><Message>no</Message></Error>`, status)

/** Starts a server on loopback that has the bucket `segments`. */
export function startPlainS3(): PlainS3 {
  const objects = new Map<string, Buffer>()
  const uploads = new Map<string, Map<number, Buffer>>()
  let lastUpload = 0

  const put = async (key: string, request: Request, query: URLSearchParams) => {
    const bytes = Buffer.from(await request.arrayBuffer())
    const etag = `"${hash('md5', bytes, 'hex')}"`
    const upload = query.get('uploadId')
    if (upload === null) objects.set(key, bytes)
    else uploads.get(upload)!.set(Number(query.get('partNumber')), bytes)
    return new Response('', { headers: { etag } })
  }

  const post = (key: string, query: URLSearchParams) => {
    if (query.has('uploads')) {
      uploads.set(String(++lastUpload), new Map())
      const id = `<UploadId>${lastUpload}</UploadId>`
      return xml(`<InitiateMultipartUploadResult>${id}</InitiateMultipartUploadResult>`)
    }
    const id = query.get('uploadId')!
    const parts = [...uploads.get(id)!].sort(([a], [b]) => a - b).map(([, bytes]) => bytes)
    uploads.delete(id)
    objects.set(key, Buffer.concat(parts))
    return xml('<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>')
  }

  const get = (key: string, request: Request) => {
    const bytes = objects.get(key)
    if (bytes === undefined) return failure(404, 'NoSuchKey')
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get('range') ?? '')
    if (range === null) return new Response(new Uint8Array(bytes))
    const [from, to] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)]
    if (from > to) return failure(416, 'InvalidRange')
    const headers = { 'content-range': `bytes ${from}-${to}/${bytes.length}` }
    return new Response(new Uint8Array(bytes.subarray(from, to + 1)), { status: 206, headers })
  }

  /** Two names a page, so that several are needed. */
  const list = (query: URLSearchParams) => {
    const [prefix, after] = [query.get('prefix') ?? '', query.get('start-after') ?? '']
    const names = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
    const contents = names.slice(0, 2).map((key) => `<Contents><Key>${key}</Key></Contents>`)
    const truncated = `<IsTruncated>${names.length > 2}</IsTruncated>`
    return xml(`<ListBucketResult>${truncated}${contents.join('')}</ListBucketResult>`)
  }

  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request) => {
      const { pathname, searchParams } = new URL(request.url)
      const [, bucket, key] = /^\/([^/]+)\/?(.*)$/.exec(pathname) ?? []
      if (bucket !== 'segments' || key === undefined) return failure(404, 'NoSuchBucket')
      if (key === '') return list(searchParams)
      switch (request.method) {
        case 'PUT':
          return put(key, request, searchParams)
        case 'POST':
          return post(key, searchParams)
        case 'DELETE':
          if (!searchParams.has('uploadId')) objects.delete(key)
          return new Response(null, { status: 204 })
        default:
          return get(key, request)
      }
    },
  })
  return { url: server.url.href, objects, stop: () => server.stop(true) }
}
