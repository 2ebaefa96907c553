import { fieldTable, nameOf, type Resolve } from './fields.ts'
import { Html, html, prose } from './html.ts'
import type { Answer, Document, Media, Operation, Parameter } from './model.ts'

type Route = { method: string; path: string; operation: Operation }

/** Renders the page that shows the API. The HTML is complete; page.js only adds the requests. */
export function toPage(document: Document, basePath: string): string {
  const { info, tags, components } = document
  const resolve: Resolve = (schema) =>
    schema.$ref === undefined ? schema : components.schemas[schema.$ref.split('/').at(-1)!]!
  const groups = tags.map((tag) => ({ ...tag, routes: routesOf(document, tag.name) }))
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${info.title} API</title>
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="${basePath}/swagger/page.css">
<script src="${basePath}/swagger/page.js" defer></script>
</head>
<body>
<a class="skip" href="#operations">Skip to the operations</a>
<aside>
<h1>${info.title} <small>API ${info.version}</small></h1>
<p>${prose(info.description)}</p>
<p><a href="${basePath}/swagger/json">OpenAPI 3.0 document</a></p>
<label for="token">Token for requests from this page</label>
<input id="token" type="password" autocomplete="off" spellcheck="false" placeholder="Bearer token">
<p class="hint">Stored only in this page's memory and lost when you leave it.</p>
<nav aria-label="Operations">${groups.map(navigation)}</nav>
</aside>
<main id="operations" tabindex="-1">
<noscript><p>Enable JavaScript to send requests from this page.</p></noscript>
${groups.map(
  ({ name, description, routes }) => html`<section>
<h2>${name}</h2>
<p>${prose(description)}</p>
${routes.map((route) => showRoute(route, basePath, resolve))}
</section>`,
)}
</main>
</body>
</html>
`
  return page.text
}

/** Returns the routes of a tag: routes of a collection before routes of a single row. */
function routesOf({ paths }: Document, tag: string): Route[] {
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, operation]) => operation.tags.includes(tag))
      .map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
  return routes.sort((a, b) => Number(a.path.includes('{')) - Number(b.path.includes('{')))
}

const badge = (method: string) =>
  html`<span class="method ${method.toLowerCase()}">${method}</span>`

const navigation = ({ name, routes }: { name: string; routes: Route[] }) => html`<h2>${name}</h2>
<ul>${routes.map(
  ({ method, path, operation }) =>
    html`<li><a href="#${operation.operationId}">${badge(method)}
<span>${breakable(path)}</span></a></li>`,
)}</ul>`

/** Allows a line break before each slash of a path. */
const breakable = (path: string) => new Html(html`${path}`.text.replaceAll('/', '<wbr>/'))

function showRoute({ method, path, operation }: Route, basePath: string, resolve: Resolve): Html {
  const { operationId: id, summary, description, requestBody, responses } = operation
  const parameters = operation.parameters ?? []
  const body = requestBody?.content['application/json']
  return html`<details class="operation" id="${id}">
<summary>${badge(method)}<code class="path">${breakable(path)}</code>
<span>${summary}</span></summary>
<form data-method="${method}" data-path="${basePath}${path}"
data-role="${operation['x-roles']?.[0]}">
${description === undefined ? undefined : html`<p>${prose(description)}</p>`}
<p>${showRoles(operation['x-roles'])}</p>
${parameters.length === 0 ? undefined : html`<h3>Parameters</h3>`}
${parameters.map((parameter) => showParameter(parameter, id))}
${body === undefined ? undefined : showBody(body, id, resolve)}
<h3>Request <button type="button" class="copy">Copy</button></h3>
<pre tabindex="0"><code class="curl"></code></pre>
<p><button type="submit">Send ${method}</button><span class="status" role="status"></span></p>
<pre class="answer" tabindex="0" hidden></pre>
<h3>Responses</h3>
${Object.entries(responses).map(([status, answer]) => showAnswer(status, answer, resolve))}
</form>
</details>`
}

function showRoles(roles: string[] | undefined): Html {
  if (roles === undefined) return html`No token required.`
  const names = roles.map((role) => `\`${role}\``).join(' or ')
  return html`Requires a <a href="#token">token</a> with the role ${prose(names)}.`
}

function showParameter({ name, in: place, ...parameter }: Parameter, id: string): Html {
  const { schema, required, description = '' } = parameter
  const example = parameter.example === undefined ? undefined : String(parameter.example)
  const field = `${id}-${name}`
  const attributes = html`id="${field}" data-in="${place}" data-name="${name}"
aria-describedby="${field}-meaning"`
  const input = schema.enum
    ? html`<select ${attributes}><option value="">not sent</option>
${schema.enum.map((value) => html`<option>${String(value)}</option>`)}</select>`
    : html`<input ${attributes} value="${required ? example : ''}" autocomplete="off"
spellcheck="false" ${required ? html`required` : html`placeholder="not sent"`}>`
  return html`<div class="parameter"><label for="${field}"><code>${name}</code>
<span class="optional">${place}</span>${required ? REQUIRED : undefined}</label>${input}
<p id="${field}-meaning">${prose(description)}
<span class="type">${schema.enum ? undefined : nameOf(schema)}</span></p></div>`
}

function showBody({ schema, example }: Media, id: string, resolve: Resolve): Html {
  const text = JSON.stringify(example, null, 2)
  return html`<h3><label for="${id}-body">Body</label></h3>
<textarea id="${id}-body" class="body" spellcheck="false" rows="${text.split('\n').length}">
${text}</textarea>
<details><summary>Fields of the body</summary>${fieldTable(schema, resolve, 'required')}</details>`
}

function showAnswer(status: string, answer: Answer, resolve: Resolve): Html {
  const headers = Object.entries(answer.headers ?? {}).map(
    ([name, { description }]) => html`<li><code>${name}</code> ${prose(description)}</li>`,
  )
  const medias = Object.entries(answer.content ?? {})
  return html`<details class="answers"><summary><span class="code-${status[0]}">${status}</span>
<span>${prose(answer.description)}</span></summary>
${headers.length === 0 ? undefined : html`<ul>${headers}</ul>`}
${medias.map(([type, media]) => showMedia(type, media, resolve))}</details>`
}

function showMedia(type: string, media: Media, resolve: Resolve): Html {
  if (type === 'application/problem+json') return showProblems(media)
  const { schema, example } = media
  const text = typeof example === 'string' ? example : JSON.stringify(example, null, 2)
  return html`<p class="type">${type}</p>
<pre tabindex="0"><code>${text}</code></pre>
${fieldTable(schema, resolve, 'optional')}`
}

/** Renders one line per problem; the top of the page describes the common format. */
function showProblems({ example, examples }: Media): Html {
  const values = examples ? Object.values(examples).map(({ value }) => value) : [example]
  const lines = values.map((value) => JSON.stringify(value))
  return html`<pre tabindex="0"><code>${lines.join('\n')}</code></pre>`
}

const REQUIRED = html`<span class="required">required</span>`

/** The icon: tally marks. */
const ICON =
  'data:image/svg+xml,' +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#2f7d6b" ' +
      'stroke-width="3" stroke-linecap="round">' +
      '<path d="M7 6v20M13 6v20M19 6v20M25 6v20M3 23 29 9"/></svg>',
  )
