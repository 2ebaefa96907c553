import { formatCount } from '../format.ts'

/** A rule as the service lists it: with the members of its kind. */
export type Rule = {
  kind: string
  of?: string
  id?: number
  below?: number
  minutes?: number
  min_requests?: number
  percent?: number
  token_hash?: string
  source?: string
}

/** Says what a rule watches for. */
export function describeRule(rule: Rule): string {
  const { kind, of = '', id = 0, below = 0, minutes = 0, percent, token_hash, source } = rule
  switch (kind) {
    case 'success_rate':
      return (
        `less than ${Number((below * 100).toFixed(2))} % of the requests of ` +
        `${nameOf(of)} ${id} succeed in ${formatCount(minutes)} min`
      )
    case 'quota':
      return `${token_hash ?? 'a token key'} has used ${percent} % of its quota`
    case 'silent_source':
      return `${source ?? 'a source'} falls silent`
    case 'failed_verification':
      return 'a verification finds a problem'
    default:
      return kind
  }
}

/** Names what crosses a rule. */
export const describeSubject = ({ kind, id }: { kind: string; id: string }): string =>
  kind === 'log' ? 'the log' : `${nameOf(kind)} ${id}`

const NAMES: Record<string, string> = {
  ...{ provider_group: 'provider group', api_key: 'API key', key: 'token key' },
}

const nameOf = (kind: string) => NAMES[kind] ?? kind
