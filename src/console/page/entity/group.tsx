import { api } from '../api.ts'
import { nameOf } from '../format.ts'
import { Missing } from '../parts/missing.tsx'
import { Failed } from '../parts/states.tsx'
import { Usage } from '../usage/usage.tsx'
import { ApiKeyList } from './api-key-list.tsx'
import { EditGroup, End } from './edit.tsx'
import { Explained } from './explained.tsx'
import { ExternalId } from './external-id.tsx'
import { Head } from './head.tsx'
import { Measured } from './measured.tsx'
import { Totals } from './totals.tsx'
import { useRow } from './use-row.ts'

/** Shows a provider group: counters, usage over time, API keys, and the events behind it. */
export function Group({ id }: { id: string }) {
  const { value, failure, reload } = useRow(`group ${id}`, (query) =>
    api.admin['provider-groups']({ id }).get({ query }),
  )
  const name = value && nameOf(value)
  const end = { what: 'provider-groups', id, title: `the group ${name}`, onDone: reload } as const
  if (failure?.status === 404 && !value) {
    return <Missing what={`provider group #${id}`} href="/" place="the overview" />
  }
  return (
    <>
      <Head
        kind="Provider group"
        name={name}
        endedAt={value?.ended_at}
        edit={(close) => <EditGroup row={value!} onClose={close} onDone={reload} />}
        end={(close) => <End {...end} onClose={close} />}
      >
        <span>#{id}</span>
        <ExternalId row={value} />
      </Head>
      {failure && <Failed failure={failure} onRetry={reload} />}
      <Totals counts={value} />
      <Usage scope={{ group_id: id }} name={name ?? `group ${id}`} />
      <ApiKeyList groupId={Number(id)} />
      <Explained scope={{ group_id: id }} />
      <Measured row={value} />
    </>
  )
}
