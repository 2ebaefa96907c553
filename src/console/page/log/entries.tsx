import { useState } from 'preact/hooks'
import { formatCount } from '../format.ts'
import { To } from '../parts/to.tsx'

/** Number of entries shown at first. */
const SHOWN = 200

/** Lists what an event counted for each account. */
export function Entries({ rows }: { rows: Record<string, unknown>[] }) {
  const [max, setMax] = useState(SHOWN)
  // Only entries with an external id that no key had have the column `api_key`.
  const longest = rows.reduce((a, b) => (Object.keys(b).length > Object.keys(a).length ? b : a))
  const columns = Object.keys(longest).map((name) => ({
    name,
    align: rows.some((row) => isNumber(row[name])) ? 'end' : '',
  }))
  return (
    <section class="card" aria-label="Entries">
      <header>
        <h2>
          Entries <small class="muted">{formatCount(rows.length)}</small>
        </h2>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <section class="scroll" tabIndex={0} aria-label="Entries by account">
        <table>
          <thead>
            <tr>
              {columns.map(({ name, align }) => (
                <th key={name} scope="col" class={align}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, max).map((row, i) => (
              <tr key={i}>
                {columns.map(({ name, align }) => (
                  <td key={name} class={align}>
                    <Cell column={name} value={row[name]} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {rows.length > max && (
        <button type="button" class="small" onClick={() => setMax(max + 10 * SHOWN)}>
          Show more
        </button>
      )}
    </section>
  )
}

/** Numbers are aligned at the end of the cell. */
const isNumber = (value: unknown) => typeof value === 'number' || typeof value === 'bigint'

const PAGES: Record<string, string> = {
  api_key_id: '/api-keys/',
  group_id: '/groups/',
  provider_group_id: '/groups/',
  token_hash: '/keys/',
}

function Cell({ column, value }: { column: string; value: unknown }) {
  const page = PAGES[column]
  const text = value === null || value === undefined ? '–' : String(value)
  if (page === undefined || !value) return <>{text}</>
  return (
    <To href={page + encodeURIComponent(text)} title={text}>
      {text}
    </To>
  )
}
