import { expect, test } from 'bun:test'
import { chooseType, takesGzip } from '../../src/http/negotiation.ts'

const JSON_PAGE = 'application/json'
const NDJSON = 'application/x-ndjson'
const EVENTS = 'text/event-stream'

const toRequest = (headers: Record<string, string | null>) => {
  const given = Object.entries(headers).filter(([, value]) => value !== null)
  return new Request('http://localhost/', { headers: given as [string, string][] })
}

test.each([
  [null, JSON_PAGE],
  ['', JSON_PAGE],
  ['*/*', JSON_PAGE],
  ['text/html, */*;q=0.8', JSON_PAGE],
  ['application/*', JSON_PAGE],
  ['text/html', JSON_PAGE],
  [',;q=1,;;', JSON_PAGE],
  [NDJSON, NDJSON],
  ['Application/X-NDJSON; charset=utf-8', NDJSON],
  [`${NDJSON}; v=1 ;q=0.4, text/html;q=0.3`, NDJSON],
  [`${NDJSON}, */*`, NDJSON],
  [`*/*, ${NDJSON}`, NDJSON],
  [`${NDJSON};q=0.5, ${JSON_PAGE}`, JSON_PAGE],
  [`${JSON_PAGE}, ${NDJSON}`, JSON_PAGE],
  [`${NDJSON}, ${JSON_PAGE}`, NDJSON],
  [`${NDJSON};q=0`, JSON_PAGE],
  [`${NDJSON};q=0, */*`, JSON_PAGE],
  [`${NDJSON};q=nonsense`, JSON_PAGE],
  [EVENTS, EVENTS],
  ['text/*', EVENTS],
  [`${EVENTS}, ${NDJSON};q=0.9`, EVENTS],
  [`${EVENTS};q=0.1, ${NDJSON} ; q=0.9`, NDJSON],
  [`${JSON_PAGE};q=0, ${EVENTS};q=0.001`, EVENTS],
])('Accept: %p is answered with %p', (accept, form) => {
  expect(chooseType(toRequest({ accept }), [JSON_PAGE, NDJSON, EVENTS])).toBe(
    form as typeof JSON_PAGE,
  )
})

test.each(['gzip', 'GZip', 'deflate, gzip', 'gzip;q=0.5', 'br, gzip ; q=1.0, *', 'gzip;q=0.001'])(
  'Accept-Encoding %p accepts gzip',
  (accepted) => {
    expect(takesGzip(toRequest({ 'accept-encoding': accepted }))).toBe(true)
  },
)

test.each([
  null,
  '',
  'br',
  'gzip;q=0',
  'gzip; q=0.000',
  'x-gzip',
  'gzipped',
  'br;q=gzip',
  'identity, gzip;q=0.5',
])('Accept-Encoding %p does not accept gzip', (accepted) => {
  expect(takesGzip(toRequest({ 'accept-encoding': accepted }))).toBe(false)
})
