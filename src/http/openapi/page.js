// Sends requests from the forms of the page and shows the equivalent curl command.
const token = document.querySelector('#token')

/** Reads the form: the path with the query, the headers without the token, and the body. */
function readRequest(form) {
  let path = form.dataset.path
  const query = new URLSearchParams()
  const headers = {}
  for (const field of form.querySelectorAll('[data-in]')) {
    const { in: place, name } = field.dataset
    if (place === 'path') path = path.replace(`{${name}}`, encodeURIComponent(field.value))
    else if (field.value === '') continue
    else if (place === 'query') query.append(name, field.value)
    else headers[name] = field.value
  }
  const body = form.querySelector('.body')?.value
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  const search = query.size > 0 ? `?${query}` : ''
  return { method: form.dataset.method, url: location.origin + path + search, headers, body }
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`

/** Shows the curl command. It refers to the token by an environment variable, never by value. */
function showCurl(form) {
  const { method, url, headers, body } = readRequest(form)
  const { role } = form.dataset
  const parts = [`curl ${method === 'GET' ? '' : `-X ${method} `}${quote(url)}`]
  if (role) parts.push(`-H "Authorization: Bearer $TALLYBOOK_${role.toUpperCase()}_TOKEN"`)
  for (const [name, value] of Object.entries(headers))
    parts.push(`-H ${quote(`${name}: ${value}`)}`)
  // On one line: a JSON string holds no line break.
  if (body !== undefined) parts.push(`--data-raw ${quote(body.replace(/\s*\n\s*/g, ' '))}`)
  form.querySelector('.curl').textContent = parts.join(' \\\n  ')
}

/** Characters of a response that are shown. */
const SHOWN = 100_000

async function send(form) {
  const { url, headers, ...request } = readRequest(form)
  const status = form.querySelector('.status')
  const output = form.querySelector('.answer')
  if (form.dataset.role && token.value) headers.Authorization = `Bearer ${token.value.trim()}`
  status.className = 'status'
  status.textContent = 'Sending…'
  const began = performance.now()
  try {
    const response = await fetch(url, { ...request, headers, cache: 'no-store' })
    const text = await response.text()
    status.textContent = `${response.status} in ${Math.round(performance.now() - began)} ms`
    status.classList.add(`code-${String(response.status)[0]}`)
    const lines = [...response.headers].map(([name, value]) => `${name}: ${value}`)
    output.textContent = `${lines.join('\n')}\n\n${indent(text)}`.slice(0, SHOWN)
    output.hidden = false
  } catch (error) {
    status.textContent = `No response: ${error.message}`
    status.classList.add('code-5')
    output.hidden = true
  }
}

/** Indents JSON, unless parsing it would change a number. */
function indent(text) {
  try {
    const value = JSON.parse(text)
    return JSON.stringify(value) === text ? JSON.stringify(value, null, 2) : text
  } catch {
    return text
  }
}

for (const form of document.querySelectorAll('form')) {
  showCurl(form)
  form.addEventListener('input', () => showCurl(form))
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    send(form)
  })
  form.querySelector('.copy').addEventListener('click', async ({ target }) => {
    const text = form.querySelector('.curl').textContent
    const copied = await navigator.clipboard?.writeText(text).then(
      () => true,
      () => false,
    )
    target.textContent = copied ? 'Copied' : 'Press Ctrl+C'
    if (!copied) getSelection().selectAllChildren(form.querySelector('.curl'))
    setTimeout(() => {
      target.textContent = 'Copy'
    }, 2_000)
  })
}

/** Opens the operation that the URL's fragment names. */
function openTarget() {
  const target = document.getElementById(location.hash.slice(1))
  if (target?.tagName !== 'DETAILS') return
  target.open = true
  target.scrollIntoView()
}
addEventListener('hashchange', openTarget)
openTarget()
