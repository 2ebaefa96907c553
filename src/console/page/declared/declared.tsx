import { Ban, Pencil, Plus } from 'lucide-preact'
import { useState } from 'preact/hooks'
import { api } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { formatTime } from '../format.ts'
import { unwrapWithPosition } from '../page-position.ts'
import { IconButton } from '../parts/icon-button.tsx'
import { Empty, Failed } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Title } from '../parts/title.tsx'
import { isAdmin } from '../session.ts'
import { useList } from '../use-list.ts'
import { useDeclarations } from './declarations.tsx'
import { Declare, type Declared, EndDeclared, type Kind } from './dialogs.tsx'

type Row = Declared & { kind: Kind }

/** The dialog that is open: one that declares a kind or changes a row, or one that ends a row. */
type Asked = { what: 'declare'; kind: Kind } | { what: 'change' | 'end'; row: Row } | null

/** Lists what flushes may use besides their keys; an admin declares and ends it here. */
export function DeclaredPage() {
  const asOf = useAsOf()
  const [asked, setAsked] = useState<Asked>(null)
  const lists = [useDeclared('dimension'), useDeclared('measure')]
  const failed = lists.find(({ failure }) => failure !== null)
  const items = lists.every((list) => list.items !== undefined)
    ? lists.flatMap((list) => list.items!)
    : undefined
  const canChange = isAdmin() && !isPast(asOf)
  const declarations = useDeclarations()
  const reload = async () => {
    await Promise.all([...lists, declarations].map((read) => read.reload()))
  }
  return (
    <>
      <Title>Dimensions and measures</Title>
      <section class="card" aria-label="All dimensions and measures">
        <header>
          <h2>Dimensions and measures of flushes</h2>
          {canChange && (
            <div class="choices">
              {(['dimension', 'measure'] as const).map((kind) => (
                <button
                  key={kind}
                  type="button"
                  class="small"
                  onClick={() => setAsked({ what: 'declare', kind })}
                >
                  <Plus aria-hidden size={14} /> Declare a {kind}
                </button>
              ))}
            </div>
          )}
        </header>
        {failed && <Failed failure={failed.failure!} onRetry={reload} />}
        {items?.length === 0 ? (
          <Empty title={isPast(asOf) ? 'None was declared.' : 'None is declared yet.'}>
            With a dimension such as model, flushes say what requests were for. With a measure such
            as input_tokens, they count more than requests.
          </Empty>
        ) : (
          <Table
            caption="Dimensions and measures"
            columns={canChange ? [...COLUMNS, changes(setAsked)] : COLUMNS}
            items={items}
            keyOf={({ kind, name }) => `${kind} ${name}`}
            isLoading={lists.some(({ isLoading }) => isLoading)}
            onEnd={() => {
              for (const list of lists) list.loadMore()
            }}
          />
        )}
      </section>
      {asked && <Asking asked={asked} close={() => setAsked(null)} done={reload} />}
    </>
  )
}

function useDeclared(kind: Kind) {
  const asOf = useAsOf()
  return useList<Row>(
    `${kind} ${JSON.stringify(asOf)}`,
    async (request) => {
      const query = { ...asOf, ...request, ended: 'true' as const }
      const page = await unwrapWithPosition(api.admin[`${kind}s`].get({ query }))
      return { ...page, items: page.items.map((item) => ({ ...item, kind })) }
    },
    { isLive: !isPast(asOf) },
  )
}

type AskingProps = { asked: NonNullable<Asked>; close: () => void; done: () => Promise<void> }

function Asking({ asked, ...rest }: AskingProps) {
  if (asked.what === 'declare') return <Declare kind={asked.kind} {...rest} />
  const { row } = asked
  if (asked.what === 'end') return <EndDeclared kind={row.kind} name={row.name} {...rest} />
  return <Declare kind={row.kind} row={row} {...rest} />
}

const COLUMNS: Column<Row>[] = [
  { title: 'Name', wraps: true, show: ({ name }) => name },
  { title: 'Kind', ...{ chars: 12, phoneChars: 12 }, show: ({ kind }) => kind },
  { title: 'Unit', ...{ chars: 24, rank: 2 }, show: ({ unit }) => unit ?? '' },
  {
    title: 'Ended',
    ...{ chars: 24, rank: 3 },
    show: ({ ended_at }) => ended_at && formatTime(ended_at, 'minute'),
  },
]

/** The buttons of a row. One that has ended is declared again by its name. */
function changes(ask: (asked: Asked) => void): Column<Row> {
  return {
    ...{ title: 'Change', chars: 14, phoneChars: 11 },
    show: (row) =>
      row.ended_at === undefined && (
        <div class="choices">
          {row.kind === 'measure' && (
            <IconButton label={`Change ${row.name}`} onClick={() => ask({ what: 'change', row })}>
              <Pencil aria-hidden size={14} />
            </IconButton>
          )}
          <IconButton label={`End ${row.name}`} isGrave onClick={() => ask({ what: 'end', row })}>
            <Ban aria-hidden size={14} />
          </IconButton>
        </div>
      ),
  }
}
