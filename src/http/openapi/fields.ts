import { type Html, html, prose } from './html.ts'
import type { Schema } from './model.ts'

/** Finds the schema that a `$ref` names. */
export type Resolve = (schema: Schema) => Schema

type Field = { path: string; schema: Schema; required: boolean }

/**
 * A table of all fields, those of nested objects under their path: `keys[].requests`. Fields of a
 * request are marked where they are required, those of an answer where they are optional.
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

/** `integer, from 0, or null`. */
function typeOf(schema: Schema): string {
  return [nameOf(schema), ...rangeOf(schema), ...(schema.nullable ? ['or null'] : [])].join(', ')
}

/** `integer`, `date-time`, or the values that there are. */
export function nameOf({ enum: values, format, type }: Schema): string {
  return values?.join(' | ') ?? format?.replace('int64', 'integer') ?? type ?? 'any'
}

/** What JSON numbers can't go beyond anyhow isn't said. */
function rangeOf({ minimum, maximum = Number.MAX_SAFE_INTEGER }: Schema): string[] {
  if (minimum === undefined) return []
  return [maximum < Number.MAX_SAFE_INTEGER ? `${minimum} to ${maximum}` : `from ${minimum}`]
}
