import type { Document, Parameter, Schema } from './model.ts'

/**
 * The JSON Schema that TypeBox and the swagger plugin produce. The keywords in `openapi` override
 * the others, and replace the pattern.
 */
type Source = Omit<Schema, 'anyOf' | 'properties' | 'items' | 'additionalProperties'> & {
  title?: string
  const?: unknown
  examples?: unknown[]
  anyOf?: Source[]
  properties?: Record<string, Source>
  items?: Source
  additionalProperties?: boolean | Source
  patternProperties?: Record<string, Source>
  openapi?: Schema
}

/**
 * Converts the swagger plugin's document to OpenAPI 3.0: its schemas are JSON Schema, of which 3.0
 * uses a dialect. A schema with a title becomes a component of that name.
 */
export function toOpenApi(written: object, basePath = ''): Document {
  // The round trip through JSON drops TypeBox's symbols and undefined members.
  const document = JSON.parse(JSON.stringify(written)) as Document
  const components: Record<string, Schema> = {}
  for (const operations of Object.values(document.paths)) {
    for (const operation of Object.values(operations)) {
      operation.operationId = toCamelCase(operation.operationId)
      const roles = operation['x-roles']
      // Elysia merges the list into itself once for each group of routes that uses the guard.
      if (roles) operation['x-roles'] = [...new Set(roles)]
      operation.parameters = (operation.parameters ?? []).map(toParameter)
      const answers = Object.values(operation.responses)
      for (const { content = {} } of [operation.requestBody ?? {}, ...answers]) {
        for (const media of Object.values(content)) {
          media.schema = toSchema(media.schema as Source, components)
        }
      }
    }
  }
  return {
    ...document,
    servers: [{ url: basePath || '/' }],
    components: { ...document.components, schemas: components },
  }
}

/** Turns `postInternalApikey-statsFlush` into `postInternalApikeyStatsFlush`. */
const toCamelCase = (name: string) =>
  name.replace(/[-_](\w)/g, (_, letter: string) => letter.toUpperCase())

/** Moves a parameter's description and example from its schema to the parameter itself. */
function toParameter(parameter: Parameter): Parameter {
  const { examples, ...rest } = parameter as Parameter & { examples?: unknown[] }
  const { example = examples?.[0], ...schema } = toSchema(parameter.schema as Source, {})
  return { ...rest, schema, ...(example === undefined ? {} : { example }) }
}

function toSchema(source: Source, components: Record<string, Schema>): Schema {
  const { title, ...untitled } = withoutNull(source)
  if (title === undefined) return toDialect(untitled, components)
  const schema = toDialect(untitled, components)
  const known = components[title]
  if (known !== undefined && JSON.stringify(known) !== JSON.stringify(schema)) {
    throw new Error(`Two schemas are called ${title}.`)
  }
  components[title] = schema
  return { $ref: `#/components/schemas/${title}` }
}

/** Replaces an `anyOf` that contains null, also a nested one, by a nullable schema. */
function withoutNull(source: Source): Source & Pick<Schema, 'nullable'> {
  const { anyOf, ...rest } = source
  if (!anyOf?.some(({ type }) => type === 'null')) return source
  const others = anyOf.filter(({ type }) => type !== 'null').map(withoutNull)
  const [only] = others
  if (others.length > 1) return { ...rest, anyOf: others, nullable: true }
  return { ...only, ...rest, nullable: true }
}

function toDialect(source: Source, components: Record<string, Schema>): Schema {
  const { const: only, examples, openapi, pattern, patternProperties, ...rest } = source
  const { anyOf, properties, items, additionalProperties, ...plain } = rest
  const convert = (schema: Source) => toSchema(schema, components)
  const others = additionalProperties ?? Object.values(patternProperties ?? {})[0]
  return {
    ...sized({ ...plain, ...openapi }),
    ...(pattern === undefined || openapi ? {} : { pattern }),
    ...(only === undefined ? {} : { enum: [only] }),
    ...(examples === undefined ? {} : { example: examples[0] }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(convert) }),
    ...(items === undefined ? {} : { items: convert(items) }),
    ...(others === undefined
      ? {}
      : { additionalProperties: typeof others === 'boolean' ? others : convert(others) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, property]) => [name, convert(property)]),
          ),
        }),
  }
}

/** Adds `int64` to integers: without a format, generated clients assume 32 bits. */
const sized = (schema: Schema): Schema =>
  schema.type === 'integer' ? { ...schema, format: 'int64' } : schema
