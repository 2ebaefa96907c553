import type { Answer, Media, Operation, Parameter, Schema } from '../../src/http/openapi/model.ts'
import { type Described, describeApi, listOperations } from '../http/documented.ts'
import { page, table } from './markdown.ts'

/** docs/reference/http.md. */
export async function describeHttp(): Promise<string> {
  const document = await describeApi()
  const operations = listOperations(document)
  const sections = document.tags.flatMap(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name))
    return own.length > 0 ? [`## ${name}\n\n${description}`, ...own.map(describeOperation)] : []
  })
  return page('HTTP routes', 'the OpenAPI description', [
    document.info.description,
    'The schemas are in [openapi.json](openapi.json), or at `/swagger/json` of a running ' +
      'service. [The contract](contract.md) has what clients can rely on beyond this list.',
    ...sections,
  ])
}

function describeOperation({ method, path, operation }: Described): string {
  const { summary, description, parameters = [], requestBody, responses } = operation
  return [
    `### ${method} ${path}`,
    `${endSentence(summary)} ${describeRoles(operation)}`,
    ...(description ? [description] : []),
    ...(parameters.length > 0 ? [listParameters(parameters)] : []),
    ...Object.entries(requestBody?.content ?? {}).map(([type, media]) =>
      sample(`Body, \`${type}\`:`, media),
    ),
    ...Object.entries(responses).flatMap(([status, { content = {} }]) =>
      Object.entries(content)
        .filter(([type]) => status < '300' && type !== 'application/problem+json')
        .map(([type, media]) => sample(`Answer ${status}, \`${type}\`:`, media)),
    ),
    listAnswers(responses),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

function describeRoles({ security, 'x-roles': roles = [] }: Operation): string {
  if (roles.length > 0) return `Roles: ${roles.map((role) => `\`${role}\``).join(', ')}.`
  return security.length === 0 ? 'No token needed.' : ''
}

const listParameters = (parameters: Parameter[]) =>
  table(
    ['parameter', 'in', 'type', 'meaning'],
    parameters.map(({ name, in: place, required, schema, description = '' }) => [
      `\`${name}\`${required && place !== 'path' ? ' (required)' : ''}`,
      place,
      describeType(schema),
      description,
    ]),
  )

function describeType({ type, enum: values, anyOf, minimum, maximum }: Schema): string {
  const choices = values ?? anyOf?.flatMap((option) => option.enum ?? [])
  if (choices && choices.length > 0) return choices.map((value) => `\`${value}\``).join(', ')
  const range = minimum !== undefined && maximum !== undefined ? `, ${minimum} to ${maximum}` : ''
  return `${type ?? anyOf?.map((option) => option.type).join(' or ') ?? ''}${range}`
}

/** An example of a body; nothing if the description has none. */
function sample(title: string, { example, examples }: Media): string {
  const value = example ?? Object.values(examples ?? {})[0]?.value
  if (value === undefined) return ''
  const text = typeof value === 'string' ? value.trimEnd() : JSON.stringify(value)
  return `${title}\n\n\`\`\`${typeof value === 'string' ? 'text' : 'json'}\n${text}\n\`\`\``
}

const listAnswers = (responses: Record<string, Answer>) =>
  table(
    ['status', 'meaning', '`error`'],
    Object.entries(responses).map(([status, answer]) => [
      status,
      answer.description,
      listErrors(answer).join(', '),
    ]),
  )

function listErrors({ content = {} }: Answer): string[] {
  const { example, examples } = content['application/problem+json'] ?? ({} as Partial<Media>)
  const values = [example, ...Object.values(examples ?? {}).map(({ value }) => value)]
  return values.flatMap((value) => {
    const error = (value as { error?: string } | undefined)?.error
    return error === undefined ? [] : [`\`${error}\``]
  })
}

const endSentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`)
