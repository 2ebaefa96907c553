import { isPast, useAsOf } from '../as-of.ts'
import { useDeclarations } from '../declared/declarations.tsx'
import { Empty, Failed } from '../parts/states.tsx'
import { To } from '../parts/to.tsx'
import { useParams } from '../parts/use-params.ts'
import { Breakdown, MAX_BUCKETS } from './breakdown.tsx'
import { Choices } from './choices.tsx'
import { findShown, REQUESTS, shownMeasure, TOKENS } from './counts.ts'
import { readRange, withAtMost } from './range.ts'
import { useEnd } from './use-end.ts'
import { Whole } from './whole.tsx'

/** The row whose usage is shown; empty: all provider groups. */
export type Scope = { group_id?: string; api_key_id?: string; token_hash?: string }

type Props = { scope: Scope; name: string }

/** Shows usage over time, as a whole or divided by a dimension. The URL has what is chosen. */
export function Usage(props: Props) {
  const { end, failure } = useEnd(useAsOf())
  if (end !== undefined) return <UsageUntil {...props} end={end} />
  return (
    <section class="card usage" aria-label="Usage over time">
      {failure ? <Failed failure={failure} /> : <div class="chart" aria-busy="true" />}
    </section>
  )
}

function UsageUntil({ scope, name, end }: Props & { end: number }) {
  const [params] = useParams()
  const { value: declarations } = useDeclarations()
  const by = params.get('by') ?? ''
  const whole = scope.token_hash === undefined ? REQUESTS : TOKENS
  const counts = [
    ...whole,
    ...(declarations?.measures ?? []).map((one) => shownMeasure(one.name, one.unit ?? null)),
  ]
  const shown = findShown(counts, params.get('show') ?? '')
  const asked = readRange(params, end)
  const range = by === '' ? asked : withAtMost(MAX_BUCKETS, asked)
  const view = { scope, name, range, shown, counts: whole }
  const isDeclared = declarations === undefined || declarations.dimensions.length > 0
  return (
    <section class="card usage" aria-label="Usage over time">
      <header>
        <h2>{`${shown.title} over time`}</h2>
        <Choices range={range} counts={counts} shown={shown} by={by} />
      </header>
      {by === '' ? (
        <Whole {...view} />
      ) : isDeclared ? (
        <Breakdown {...view} by={by} />
      ) : (
        <Undeclared />
      )}
    </section>
  )
}

function Undeclared() {
  const isThen = isPast(useAsOf())
  return (
    <Empty title={isThen ? 'No dimension was declared.' : 'No dimension is declared yet.'}>
      With a dimension such as model, flushes say what requests were for, and usage is divided by
      it. Declare one at <To href="/dimensions">Dimensions</To>, or those of LLM gateways with{' '}
      <code>tallybook catalog init llm</code>. The guide is <code>{GUIDE}</code>.
    </Empty>
  )
}

/** The guide, in the documentation that comes with the service. */
const GUIDE = 'docs/guides/llm-gateways.md'
