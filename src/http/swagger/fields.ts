import { type Html, html, prose } from './html.ts'
import type { Schema } from './model.ts'

/** Finds the schema that a `$ref` names. */
export type Resolve = (schema: Schema) => Schema

type Field = { path: string; schema: Schema; required: boolean }

/** A table of all fields, those of nested objects under their path: `keys[].requests`. */
export function fieldTable(schema: Schema, resolve: Resolve): Html {
  const fields = listFields(schema, resolve, '')
  if (fields.length === 0) return html``
  const rows = fields.map(
    ({ path, schema, required }) => html`<tr>
<th scope="row"><code>${path}</code>${required ? html`<span class="required">required</span>` : undefined}</th>
<td><span class="type">${typeOf(schema)}</span></td>
<td>${prose(schema.description ?? '')}</td></tr>`,
  )
  return html`<table><thead><tr><th scope="col">Field</th><th scope="col">Type</th>
<th scope="col">Meaning</th></tr></thead><tbody>${rows}</tbody></table>`
}

function listFields(source: Schema, resolve: Resolve, prefix: string): Field[] {
  const schema = resolve(source)
  if (schema.items) return listFields(schema.items, resolve, `${prefix}[]`)
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const path = prefix === '' ? name : `${prefix}.${name}`
    const property = resolve(member)
    const required = schema.required?.includes(name) ?? false
    return [{ path, schema: property, required }, ...listFields(property, resolve, path)]
  })
}

/** `integer, 1 to 1000, 100 if absent`. */
export function typeOf(schema: Schema): string {
  const { minimum, maximum, default: fallback } = schema
  return [
    schema.enum?.join(' | ') ?? schema.format?.replace('int64', 'integer') ?? schema.type ?? 'any',
    minimum === undefined && maximum === undefined ? [] : rangeOf(minimum, maximum),
    schema.nullable ? 'or null' : [],
    fallback === undefined ? [] : `${fallback} if absent`,
  ]
    .flat()
    .join(', ')
}

/** The end of what JSON numbers hold goes without saying. */
function rangeOf(minimum = -Number.MAX_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER) {
  const from = minimum > -Number.MAX_SAFE_INTEGER
  const to = maximum < Number.MAX_SAFE_INTEGER
  if (from && to) return [`${minimum} to ${maximum}`]
  if (from) return [`from ${minimum}`]
  return to ? [`up to ${maximum}`] : []
}
