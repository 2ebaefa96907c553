import { join } from 'node:path'
import Ajv, { type ValidateFunction } from 'ajv'
import { Admission } from '../../src/http/admission.ts'
import type { Answer, Document, Operation, Schema } from '../../src/http/openapi/model.ts'
import { type AppOptions, createApp } from '../../src/service/routes.ts'

/** RFC 3339 with a zone. */
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

/** The committed OpenAPI document, in which every change of the contract shows. */
export const OPENAPI_FILE = join(import.meta.dir, '../../docs/reference/openapi.json')

/** Creates the app without its components. It serves only routes that need none of them. */
export const createBareApp = () =>
  createApp({
    basePath: '',
    admission: new Admission(),
    tracer: null,
    slowRequestMs: null,
  } as AppOptions)

/** Returns the document that GET /swagger/json serves. */
export async function describeApi(): Promise<Document> {
  const response = await createBareApp().handle(new Request('http://localhost/swagger/json'))
  return (await response.json()) as Document
}

/** Formats a document for diffs: members sorted by name, one per line. */
export const toText = (document: Document): string =>
  `${JSON.stringify(document, (_, value) => sortMembers(value), 2)}\n`

const sortMembers = (value: unknown) =>
  typeof value !== 'object' || value === null || Array.isArray(value)
    ? value
    : Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))

/** An operation with its method in upper case. */
export type Described = { method: string; path: string; operation: Operation }

/** Returns the operations of a document. */
export function listOperations({ paths }: Document): Described[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation,
    })),
  )
}

/** Returns a row for each status and media type that an operation answers with. */
export function listMedias(operation: Operation) {
  return Object.entries(operation.responses).flatMap(([status, answer]) =>
    Object.entries(answer.content ?? {}).map(([type, media]) => ({ status, type, media })),
  )
}

/** Creates a check: why a value violates the schema at a path in the document, or null. */
export function checker(document: Document) {
  const ajv = new Ajv({
    strict: false,
    validateSchema: false,
    formats: { int64: true, 'date-time': DATE_TIME },
  })
  ajv.addSchema({ $id: 'api', ...document })
  // Each schema is compiled once: many answers share one.
  const checks = new Map<string, ValidateFunction>()
  return (path: string[], value: unknown): string | null => {
    const { $ref = toPointer(path) } = find(document, path)
    const check = checks.get($ref) ?? ajv.compile({ $ref: `api${$ref}` })
    checks.set($ref, check)
    return check(value) ? null : ajv.errorsText(check.errors)
  }
}

const toPointer = (path: string[]) => {
  const parts = path.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1'))
  return `#/${parts.map(encodeURIComponent).join('/')}`
}

const find = (document: Document, path: string[]) =>
  path.reduce<unknown>((node, part) => (node as Record<string, unknown>)[part], document) as Schema

/** Closes every object of a document, so that a field that it does not describe is an error. */
export function closeObjects<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(closeObjects) as Value
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).map(([name, member]) => [name, closeObjects(member)])
  const closed = { ...Object.fromEntries(members) }
  if (closed.type === 'object' && closed.properties) closed.additionalProperties ??= false
  return closed
}

/** Returns the headers that the document requires and an answer lacks. */
export function missingHeaders({ headers = {} }: Answer, response: Response): string[] {
  return Object.entries(headers)
    .filter(([name, { required }]) => required && !response.headers.has(name))
    .map(([name]) => name)
}
