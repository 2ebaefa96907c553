import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { isStorable, PayloadError } from '../columns.ts'
import { COUNTS_NOTHING, type EventDefinition } from '../definition.ts'
import { TIME } from '../instant.ts'
import { RuleRow, textsOfRules } from '../rule.ts'
import { POSITIONS } from './quota-reset.ts'

/** The types of events in which the service records what happened to a rule. */
export const RULE_EVENT_TYPES = ['RuleCrossed', 'RuleCleared'] as const

export const isRuleEvent = (type: string): boolean =>
  (RULE_EVENT_TYPES as readonly string[]).includes(type)

const Positions = Type.String({ pattern: POSITIONS.source })
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** What crosses a rule. The log itself, which verifications check, has the id ''. */
export const Subject = Type.Object({
  kind: Type.Union(
    (['provider_group', 'api_key', 'key', 'source', 'log'] as const).map((kind) =>
      Type.Literal(kind),
    ),
  ),
  id: Type.String({ maxLength: 255 }),
})
export type Subject = Static<typeof Subject>

const common = {
  ...{ rule: RuleRow, subject: Subject },
  value: Type.Record(Type.String({ pattern: '^[a-z_]{1,63}$' }), Count, {
    additionalProperties: false,
  }),
  ...{ at: Type.String(), from: Type.Optional(Positions), through: Positions },
}

/**
 * Payload of `RuleCrossed`, version 1: at `at`, a subject was found to cross a rule. The value
 * reflects the log through the positions `through`, and of a success rate what was recorded after
 * `from`.
 *
 *     {"rule":{"name":"quota_80","kind":"quota","percent":80},
 *      "subject":{"kind":"key","id":"3f08…"},"value":{"quota_used":812,"quota_limit":1000},
 *      "at":"2026-01-31T12:00:00.123456+00:00","through":"0/41,1/7"}
 */
const Crossed = Type.Object(common)
export type Crossed = Static<typeof Crossed>

/**
 * Payload of `RuleCleared`, version 1: what was crossed at `crossed_at` is no longer, or the rule
 * no longer watches the subject; then the value may be unknown.
 */
const Cleared = Type.Object({
  ...{ ...common, crossed_at: Type.String() },
  why: Type.Union([Type.Literal('recovered'), Type.Literal('unwatched')]),
})
export type Cleared = Static<typeof Cleared>

export const ruleCrossed: EventDefinition<Crossed> = {
  ...COUNTS_NOTHING,
  version: 1,
  read: { 1: reader(Crossed, ({ at }) => [at]) },
}

export const ruleCleared: EventDefinition<Cleared> = {
  ...COUNTS_NOTHING,
  version: 1,
  read: { 1: reader(Cleared, ({ at, crossed_at }) => [at, crossed_at]) },
}

function reader<Schema extends TSchema>(
  schema: Schema,
  timesOf: (value: Static<Schema>) => string[],
): (payload: unknown) => Static<Schema> {
  const check = TypeCompiler.Compile(schema)
  return (payload) => {
    if (!check.Check(payload)) {
      const { path, message } = check.Errors(payload).First()!
      throw new PayloadError(`${path} ${message}`.trim())
    }
    const { rule, subject } = payload as Crossed
    if (!timesOf(payload).every((time) => TIME.test(time))) throw new PayloadError('not a time')
    if ([subject.id, ...textsOfRules([rule])].every(isStorable)) return payload
    throw new PayloadError('a text holds a NUL or a lone surrogate')
  }
}
