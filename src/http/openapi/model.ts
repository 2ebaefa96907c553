/** An OpenAPI 3.0 schema, limited to the keywords that this API uses. */
export type Schema = {
  $ref?: string
  type?: string
  nullable?: boolean
  description?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  additionalProperties?: boolean | Schema
  anyOf?: Schema[]
  enum?: unknown[]
  minimum?: number
  maximum?: number
  default?: unknown
  example?: unknown
  format?: string
  pattern?: string
}
export type Parameter = {
  name: string
  in: 'path' | 'query' | 'header'
  required?: boolean
  description?: string
  example?: unknown
  schema: Schema
}
export type Media = {
  schema: Schema
  example?: unknown
  examples?: Record<string, { value: unknown }>
}
export type Answer = {
  description: string
  headers?: Record<string, { description: string; required?: boolean; schema: Schema }>
  content?: Record<string, Media>
}
export type Operation = {
  operationId: string
  summary: string
  description?: string
  tags: string[]
  security: object[]
  /** The roles that the route accepts; absent if it needs no token. */
  'x-roles'?: string[]
  parameters?: Parameter[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, Answer>
}
export type Document = {
  info: { title: string; version: string; description: string }
  tags: { name: string; description: string }[]
  servers: { url: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}
