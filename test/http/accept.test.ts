import { expect, test } from 'bun:test'
import { chooseForm } from '../../src/http/events/accept.ts'

const JSON_PAGE = 'application/json'
const NDJSON = 'application/x-ndjson'
const EVENTS = 'text/event-stream'

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
  [`${NDJSON}, */*`, NDJSON],
  [`*/*, ${NDJSON}`, NDJSON],
  [`${NDJSON};q=0.5, ${JSON_PAGE}`, JSON_PAGE],
  [`${JSON_PAGE}, ${NDJSON}`, JSON_PAGE],
  [`${NDJSON}, ${JSON_PAGE}`, NDJSON],
  [`${NDJSON};q=0`, JSON_PAGE],
  [`${NDJSON};q=0, */*`, JSON_PAGE],
  [`${NDJSON};q=nonsense`, JSON_PAGE],
  [`${NDJSON};q=2`, JSON_PAGE],
  [EVENTS, EVENTS],
  ['text/*', EVENTS],
  [`${EVENTS}, ${NDJSON};q=0.9`, EVENTS],
  [`${EVENTS};q=0.1, ${NDJSON} ; q=0.9`, NDJSON],
  [`${JSON_PAGE};q=0, ${EVENTS};q=0.001`, EVENTS],
])('Accept: %p is answered with %p', (accept, form) => {
  expect(chooseForm(accept)).toBe(form as typeof JSON_PAGE)
})
