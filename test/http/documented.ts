import Ajv from 'ajv'
import type { Answer, Document, Operation } from '../../src/http/swagger/model.ts'

/** RFC 3339 with a zone. */
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

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
  return (path: string[], value: unknown): string | null => {
    const pointer = path.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1'))
    const check = ajv.compile({ $ref: `api#/${pointer.map(encodeURIComponent).join('/')}` })
    return check(value) ? null : ajv.errorsText(check.errors)
  }
}

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
