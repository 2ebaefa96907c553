import { Field } from '../parts/dialog.tsx'
import type { Column } from '../parts/table.tsx'

type Named = { external_id: string | null }

/** The column of external ids, which only wide screens show. */
export const EXTERNAL_ID: Column<Named> = {
  title: 'External id',
  ...{ rank: 3, chars: 22 },
  show: ({ external_id }) => external_id ?? <span class="muted">none</span>,
}

/** Shows the external id among the facts about a row, if it has one. */
export const ExternalId = ({ row }: { row: Named | undefined }) =>
  row?.external_id == null ? null : (
    <span>
      external id <code class="break">{row.external_id}</code>
    </span>
  )

/** The input of an external id, which can't be changed once a row has one. */
export function ExternalIdField({ row }: { row: Named | undefined }) {
  const isSet = row?.external_id != null
  return (
    <Field
      label="External id"
      name="external"
      value={row?.external_id ?? ''}
      maxLength={255}
      readOnly={isSet}
      hint={isSet ? 'It never changes.' : 'The name that the gateway uses. It can be set once.'}
    />
  )
}
