import { api } from '../api.ts'
import { nameOf } from '../format.ts'
import { Missing } from '../parts/missing.tsx'
import { Failed } from '../parts/states.tsx'
import { To } from '../parts/to.tsx'
import { Usage } from '../usage/usage.tsx'
import { EditApiKey, End } from './edit.tsx'
import { Explained } from './explained.tsx'
import { ExternalId } from './external-id.tsx'
import { Head } from './head.tsx'
import { Measured } from './measured.tsx'
import { Totals } from './totals.tsx'
import { useRow } from './use-row.ts'

/** Shows an API key: its group, counters, usage over time, and the events behind its numbers. */
export function ApiKey({ id }: { id: string }) {
  const { value, failure, reload } = useRow(`API key ${id}`, (query) =>
    api.admin['api-keys']({ id }).get({ query }),
  )
  const name = value && nameOf(value)
  const end = { what: 'api-keys', id, title: `the API key ${name}`, onDone: reload } as const
  if (failure?.status === 404 && !value) {
    return <Missing what={`API key #${id}`} href="/api-keys" place="the API keys" />
  }
  return (
    <>
      <Head
        kind="API key"
        name={name}
        endedAt={value?.ended_at}
        edit={(close) => <EditApiKey row={value!} onClose={close} onDone={reload} />}
        end={(close) => <End {...end} onClose={close} />}
      >
        <span>#{id}</span>
        <ExternalId row={value} />
        {value?.group_id === 0 && <span>no group</span>}
        {value !== undefined && value.group_id !== 0 && (
          <To href={`/groups/${value.group_id}`}>{`group #${value.group_id}`}</To>
        )}
      </Head>
      {failure && <Failed failure={failure} onRetry={reload} />}
      <Totals counts={value} />
      <Usage scope={{ api_key_id: id }} name={name ?? `API key ${id}`} />
      <Explained scope={{ api_key_id: id }} />
      <Measured row={value} />
    </>
  )
}
