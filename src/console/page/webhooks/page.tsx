import { isPast, useAsOf } from '../as-of.ts'
import { Busy, Empty, Failed } from '../parts/states.tsx'
import { Title } from '../parts/title.tsx'
import { useRead } from '../use-read.ts'
import { Deliveries } from './deliveries.tsx'
import { load } from './load.ts'
import { Rules } from './rules.tsx'
import { Webhooks } from './webhooks.tsx'

/** Shows the rules and what has crossed them, and where that is sent. */
export function WebhooksPage() {
  return (
    <>
      <Title>Webhooks</Title>
      {isPast(useAsOf()) ? (
        <Empty title="Webhooks are not listed as of the past.">
          Choose now at the top of the page. The log has the events of rules.
        </Empty>
      ) : (
        <Lists />
      )}
    </>
  )
}

/** All lists are read together: none moves when another one arrives. */
function Lists() {
  const { value, failure, reload } = useRead('webhooks', load, { always: true })
  return (
    <>
      {failure && <Failed failure={failure} onRetry={reload} />}
      {value === undefined ? (
        <Busy what="rules and webhooks" />
      ) : (
        <>
          <Rules items={value.rules} reload={reload} />
          <Webhooks items={value.webhooks} reload={reload} />
          <Deliveries items={value.deliveries} />
        </>
      )}
    </>
  )
}
