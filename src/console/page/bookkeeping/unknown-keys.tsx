import { PackagePlus } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { api } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { formatCount, formatCountOf, formatTime } from '../format.ts'
import { unwrapWithPosition } from '../page-position.ts'
import { Empty, Failed } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Title } from '../parts/title.tsx'
import { useParams } from '../parts/use-params.ts'
import { isAdmin } from '../session.ts'
import { useList } from '../use-list.ts'
import { Adopt, type Adopted } from './adopt.tsx'
import { Recorded, ToEvent } from './recorded.tsx'
import { type Counts, KINDS, type Kind, keyOf, nameOf, type UnknownKey } from './unknown-key.ts'

const COLUMNS: Column<UnknownKey>[] = [
  {
    title: 'Key',
    wraps: true,
    sort: 'name',
    show: (key) => <span title={nameOf(key)}>{nameOf(key)}</span>,
  },
  count('Requests', 'requests'),
  { ...count('Flushes', 'flushes'), rank: 2 },
  time('First seen', 'first_seen'),
  time('Last seen', 'last_seen'),
]

function count(title: string, sort: keyof Counts): Column<UnknownKey> {
  return {
    ...{ title, sort, align: 'end', chars: 12 },
    show: (key) => formatCount(key[sort]),
  }
}

function time(title: string, sort: 'first_seen' | 'last_seen'): Column<UnknownKey> {
  return {
    ...{ title, sort, chars: 24, rank: 3 },
    show: (key) => formatTime(key[sort], 'moment'),
  }
}

/** Lists keys that flushes named and the catalog did not have; an admin adopts them here. */
export function UnknownKeys() {
  const isNow = !isPast(useAsOf())
  const [params] = useParams()
  const kind = params.get('kind') === 'key' ? 'key' : 'api_key'
  return (
    <>
      <Title>Unknown keys</Title>
      {isNow ? (
        <List key={kind} kind={kind} />
      ) : (
        <Empty title="Unknown keys are not listed as of the past.">
          Choose now at the top of the page.
        </Empty>
      )}
    </>
  )
}

function List({ kind }: { kind: Kind }) {
  const [params, change] = useParams()
  const [other, setOther] = useState<Counts | null>(null)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [isAsking, setAsking] = useState(false)
  const [recorded, setRecorded] = useState<ComponentChildren>(null)
  const sort = params.get('sort') ?? '-requests'
  const list = useList<UnknownKey>(`unknown keys ${kind} ${sort}`, async (request) => {
    const query = { kind, sort, ...request }
    const page = await unwrapWithPosition(api.admin['unknown-keys'].get({ query }))
    setOther(page.other)
    return page
  })
  const keys = (list.items ?? []).filter((key) => chosen.has(keyOf(key)))
  const choose = (key: string, isChosen: boolean) => {
    const next = new Set(chosen)
    if (isChosen) next.add(key)
    else next.delete(key)
    setChosen(next)
  }
  const choice: Column<UnknownKey> = {
    title: 'Adopt',
    ...{ chars: 9, phoneChars: 7 },
    show: (key) => (
      <input
        type="checkbox"
        aria-label={`Adopt ${nameOf(key)}`}
        checked={chosen.has(keyOf(key))}
        onChange={({ currentTarget }) => choose(keyOf(key), currentTarget.checked)}
      />
    ),
  }
  const close = (adopted: Adopted | null) => {
    setAsking(false)
    if (adopted === null) return
    setChosen(new Set())
    setRecorded(<Outcome key={performance.now()} {...adopted} />)
    void list.reload()
  }
  return (
    <>
      {recorded}
      <section class="card" aria-label="All unknown keys">
        <header>
          <h2>Not in the catalog when posted</h2>
          <div class="choices">
            <KindChoice kind={kind} onChange={(next) => change({ kind: next, sort: null })} />
            {isAdmin() && (
              <button
                type="button"
                class="small"
                disabled={keys.length === 0}
                onClick={() => setAsking(true)}
              >
                <PackagePlus aria-hidden size={14} /> Adopt chosen
              </button>
            )}
          </div>
        </header>
        {list.failure && <Failed failure={list.failure} onRetry={list.reload} />}
        {list.items?.length === 0 && !list.hasMore ? (
          <Empty title={`No unknown ${KINDS[kind]}.`}>
            Flushes that name a key before the catalog has it count nothing until it is adopted.
          </Empty>
        ) : (
          <Table
            caption="Unknown keys"
            columns={isAdmin() ? [choice, ...COLUMNS] : COLUMNS}
            items={list.items}
            keyOf={keyOf}
            sorting={{ by: sort, onChange: (by) => change({ sort: by }) }}
            isLoading={list.isLoading}
            onEnd={list.loadMore}
          />
        )}
        {other && Number(other.flushes) > 0 && <Others kind={kind} counts={other} />}
      </section>
      {isAsking && <Adopt kind={kind} keys={keys} onClose={close} />}
    </>
  )
}

type KindChoiceProps = { kind: Kind; onChange: (kind: Kind) => void }

const KindChoice = ({ kind, onChange }: KindChoiceProps) => (
  <fieldset class="segments">
    <legend class="unseen">Kind of key</legend>
    {(['api_key', 'key'] as const).map((choice) => (
      <button
        key={choice}
        type="button"
        aria-pressed={choice === kind}
        onClick={() => onChange(choice)}
      >
        {choice === 'key' ? 'Token keys' : 'API keys'}
      </button>
    ))}
  </fieldset>
)

/** Sums up the keys that are not listed. */
const Others = ({ kind, counts }: { kind: Kind; counts: Counts }) => (
  <p class="muted">
    Other {KINDS[kind]}s, which are too many to list: {formatCountOf(counts.requests, 'request')}.
  </p>
)

/** Tells what an adoption has counted. */
const Outcome = ({ keys, requests, position }: Adopted) => (
  <Recorded>
    Adopted {keys}.{' '}
    {position === null ? (
      'Nothing was left to count.'
    ) : (
      <>
        Counted {formatCountOf(requests, 'request')}: event <ToEvent position={position} />.
      </>
    )}
  </Recorded>
)
