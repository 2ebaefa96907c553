import { useId, useRef, useState } from 'preact/hooks'
import { api, Failure } from '../api.ts'
import { formatCount, formatCountOf, zoneName } from '../format.ts'
import { Dialog, Field } from '../parts/dialog.tsx'
import { Failed } from '../parts/states.tsx'
import { zone } from '../settings.ts'
import { readTimestamp, toTimestamp } from '../timestamp.ts'
import { type Balances, EXAMPLE, readBalances, sumUp } from './balances.ts'
import { newIdempotencyKey, positionOf, withKey } from './post.ts'
import { CsvError } from './read-csv.ts'

/** Opened balances: their position, and a text such as `2 API keys, 1 token key`. */
export type Opened = { position: string; rows: string }

/** A file that was read, with the key of the request that posts it; or why it can't be. */
type Chosen = { balances: Balances; idempotencyKey: string } | { fault: Failure }

type Props = {
  /** Called when it has closed, with what was opened, or null if nothing was. */
  onClose: (opened: Opened | null) => void
}

/** Opens balances from a CSV file. A retry after a lost answer opens nothing twice. */
export function OpenBalances({ onClose }: Props) {
  const [chosen, setChosen] = useState<Chosen | null>(null)
  const opened = useRef<Opened | null>(null)
  const submit = async (form: FormData) => {
    if (chosen === null) throw new Failure(0, 'Choose a file.')
    if ('fault' in chosen) throw new Failure(0, 'Choose a file without a fault.')
    const { balances, idempotencyKey } = chosen
    const text = (name: string) => (form.get(name) as string).trim()
    const asOf = readTimestamp(text('as_of'))
    if (asOf === null) throw new Failure(0, 'Enter the time until which it had counted.')
    const note = text('note')
    const body = {
      as_of: toTimestamp(asOf),
      origin: { system: text('system'), ...(note === '' ? {} : { note }) },
      ...balances,
    }
    const position = await positionOf(
      api.admin.balances.post(body as never, withKey(idempotencyKey)),
    )
    opened.current = { position, rows: countRows(balances) }
  }
  const choose = async (file: File | undefined) => setChosen(file ? await read(file) : null)
  return (
    <Dialog
      title="Open balances"
      action="Open them"
      onSubmit={submit}
      onClose={() => onClose(opened.current)}
    >
      <p>
        Adds what an older system had counted to the totals, all rows or none. A row can be opened
        once.
      </p>
      <FileField onChoose={choose} />
      {chosen && ('fault' in chosen ? <Failed failure={chosen.fault} /> : <Summary {...chosen} />)}
      <Field
        label={`Counted until (${zone.value === 'utc' ? 'UTC' : zoneName()})`}
        name="as_of"
        type="datetime-local"
        step="1"
        required
      />
      <Field label="Older system" name="system" required maxLength={255} pattern=".*\S.*" />
      <Field label="Note" name="note" maxLength={500} hint="The log keeps it for good." />
    </Dialog>
  )
}

const countRows = (balances: Balances) =>
  sumUp(balances)
    .map(({ name, rows }) => formatCountOf(rows, name))
    .join(', ')

async function read(file: File): Promise<Chosen> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer())
    return { balances: readBalances(text), idempotencyKey: newIdempotencyKey() }
  } catch (error) {
    if (error instanceof CsvError) return { fault: new Failure(0, error.message) }
    if (error instanceof TypeError) return { fault: new Failure(0, 'The file is not in UTF-8.') }
    return { fault: new Failure(0, 'The browser can not read the file.') }
  }
}

function FileField({ onChoose }: { onChoose: (file: File | undefined) => void }) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>CSV file</label>
      <input
        id={id}
        type="file"
        accept=".csv,text/csv"
        required
        // So that a file that was edited can be chosen again.
        onClick={({ currentTarget }) => {
          currentTarget.value = ''
          onChoose(undefined)
        }}
        onChange={({ currentTarget }) => onChoose(currentTarget.files?.[0])}
      />
      <details>
        <summary>Format of the file</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
        <pre class="scroll" tabIndex={0}>
          {EXAMPLE}
        </pre>
        <p class="hint">
          The id of a key is its token hash. Last accesses are in Unix seconds; empty is never.
        </p>
      </details>
    </div>
  )
}

/** Shows the number of rows of each kind in a file, and their sums. */
const Summary = ({ balances }: { balances: Balances }) => (
  <div role="status" aria-label="Rows of the file">
    <ul>
      {sumUp(balances).map(({ name, rows, sums }) => (
        <li key={name}>
          <b>{formatCountOf(rows, name)}</b>{' '}
          <span class="muted">
            {sums.map(([title, sum]) => `${title} ${formatCount(sum)}`).join(' · ')}
          </span>
        </li>
      ))}
    </ul>
  </div>
)
