import { type Html, html, prose } from './html.ts'
import type { Schema } from './model.ts'

/** Returns the schema that a `$ref` names, or the schema itself if it has none. */
export type Resolve = (schema: Schema) => Schema

type Field = { path: string; schema: Schema; required: boolean }

/**
 * Renders a table of all fields; fields of nested objects appear under their path, such as
 * `keys[].requests`. Requests mark the required fields, responses the optional ones.
 */
export function fieldTable(
  schema: Schema,
  resolve: Resolve,
  marked: 'required' | 'optional',
): Html {
  const fields = listFields(schema, resolve, '')
  if (fields.length === 0) return html``
  const mark = html`<span class="${marked}">${marked}</span>`
  const rows = fields.map(
    ({ path, schema, required }) => html`<tr>
<th scope="row"><code>${path}</code>${required === (marked === 'required') ? mark : undefined}</th>
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

/** Describes the type of a field, such as `integer, from 0, or null`. */
function typeOf(schema: Schema): string {
  return [nameOf(schema), ...rangeOf(schema), ...(schema.nullable ? ['or null'] : [])].join(', ')
}

/** Returns the name of a type, such as `integer` or `date-time`, or the allowed values. */
export function nameOf({ enum: values, format, type }: Schema): string {
  return values?.join(' | ') ?? format?.replace('int64', 'integer') ?? type ?? 'any'
}

/** Describes the range of a number. A maximum that every JSON number has anyway is left out. */
function rangeOf({ minimum, maximum = Number.MAX_SAFE_INTEGER }: Schema): string[] {
  if (minimum === undefined) return []
  return [maximum < Number.MAX_SAFE_INTEGER ? `${minimum} to ${maximum}` : `from ${minimum}`]
}
