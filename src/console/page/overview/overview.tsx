import { api } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { GroupList } from '../entity/group-list.tsx'
import { Totals } from '../entity/totals.tsx'
import { unwrapWithPosition } from '../page-position.ts'
import { Failed } from '../parts/states.tsx'
import { Title } from '../parts/title.tsx'
import { Usage } from '../usage/usage.tsx'
import { useRead } from '../use-read.ts'

/** Shows all counts: totals, over time, and by provider group. */
export function Overview() {
  const asOf = useAsOf()
  const { value, failure, reload } = useRead(
    `summary ${JSON.stringify(asOf)}`,
    () => unwrapWithPosition(api.admin['apikey-stats'].summary.get({ query: asOf })),
    { everyMs: isPast(asOf) ? null : 1_000, keeps: true },
  )
  return (
    <>
      <Title>Overview</Title>
      {failure && <Failed failure={failure} onRetry={reload} />}
      <Totals counts={value} />
      <Usage scope={{}} name="all groups" />
      <GroupList />
    </>
  )
}
