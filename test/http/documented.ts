import { join } from 'node:path'
import Ajv, { type ValidateFunction } from 'ajv'
import type { Answer, Document, Operation, Schema } from '../../src/http/openapi/model.ts'
import { Places } from '../../src/http/places.ts'
import { type AppOptions, createApp } from '../../src/service/routes.ts'

/** RFC 3339 with a zone. */
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

/** The description of the API as it is committed, in which a change of the contract shows. */
export const OPENAPI_FILE = join(import.meta.dir, '../../docs/reference/openapi.json')

/** The app without its parts: it describes its routes, and serves none that needs more. */
export const createBareApp = () => createApp({ basePath: '', places: new Places() } as AppOptions)

/** What GET /swagger/json answers. */
export async function describeApi(): Promise<Document> {
  const response = await createBareApp().handle(new Request('http://localhost/swagger/json'))
  return (await response.json()) as Document
}

/** A document as text for diffs: members in the order of their names, a line each. */
export const toText = (document: Document): string =>
  `${JSON.stringify(document, (_, value) => sortMembers(value), 2)}\n`

const sortMembers = (value: unknown) =>
  typeof value !== 'object' || value === null || Array.isArray(value)
    ? value
    : Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))

export type Described = { method: string; path: string; operation: Operation }

/** The operations of a document, methods in capitals. */
export function listOperations({ paths }: Document): Described[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation,
    })),
  )
}

/** The answers of an operation and their content, a row each. */
export function listMedias(operation: Operation) {
  return Object.entries(operation.responses).flatMap(([status, answer]) =>
    Object.entries(answer.content ?? {}).map(([type, media]) => ({ status, type, media })),
  )
}

/** Says why a value isn't what the schema at a path in the document asks for; null where it is. */
export function checker(document: Document) {
  const ajv = new Ajv({
    strict: false,
    validateSchema: false,
    formats: { int64: true, 'date-time': DATE_TIME },
  })
  ajv.addSchema({ $id: 'api', ...document })
  // Compiled once each: many answers are of the same schema.
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

/** The document with every object closed: a field that it doesn't name is then an error. */
export function closeObjects<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(closeObjects) as Value
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).map(([name, member]) => [name, closeObjects(member)])
  const closed = { ...Object.fromEntries(members) }
  if (closed.type === 'object' && closed.properties) closed.additionalProperties ??= false
  return closed
}

/** Headers that the document promises and an answer lacks. */
export function missingHeaders({ headers = {} }: Answer, response: Response): string[] {
  return Object.entries(headers)
    .filter(([name, { required }]) => required && !response.headers.has(name))
    .map(([name]) => name)
}
