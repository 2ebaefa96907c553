import { ChevronLeft, ChevronRight } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { api, unwrap } from '../api.ts'
import { formatCount, formatTime } from '../format.ts'
import { Missing } from '../parts/missing.tsx'
import { Bone, Failed } from '../parts/states.tsx'
import { Title } from '../parts/title.tsx'
import { To } from '../parts/to.tsx'
import { Inclusion } from '../proof/inclusion.tsx'
import { useRead } from '../use-read.ts'
import { describeEvent } from './describe.ts'

/** Shows an event of the log: its content, its hashes, and a proof that the signed log has it. */
export function Event({ shard, position }: { shard: string; position: string }) {
  const { value, failure, reload } = useRead(
    `event ${shard}/${position}`,
    async () => (await unwrap(api.audit.events({ shard })({ position }).get())).value,
    { everyMs: null },
  )
  const number = Number(position)
  if (failure?.status === 404) {
    return <Missing what={`event ${shard}/${position} yet`} href="/events" place="the log" />
  }
  return (
    <>
      <header class="entity">
        <div>
          <p class="kind">Event</p>
          <Title>{`${shard}/${position}`}</Title>
          <p class="facts">
            {value ? (
              <>
                <span class="badge">{value.type}</span>
                <span>{describeEvent(value.type, value.payload)}</span>
              </>
            ) : (
              !failure && <Bone width="20ch" />
            )}
          </p>
        </div>
        <div class="choices">
          {number > 0 && (
            <To class="button" href={`/events/${shard}/${number - 1}`}>
              <ChevronLeft aria-hidden size={14} /> Previous
            </To>
          )}
          <To class="button" href={`/events/${shard}/${number + 1}`}>
            Next <ChevronRight aria-hidden size={14} />
          </To>
        </div>
      </header>
      {failure && <Failed failure={failure} onRetry={reload} />}
      {value && (
        <>
          <section class="card" aria-label="Columns">
            <dl class="columns">
              <Fact title="Recorded">{formatTime(value.recorded_at)}</Fact>
              <Fact title="Source">{value.source}</Fact>
              <Fact title="Idempotency key">
                {value.idempotency_key === null ? (
                  <span class="muted">none</span>
                ) : (
                  <code class="break">{value.idempotency_key}</code>
                )}
              </Fact>
              <Fact title="Version">{value.version}</Fact>
              <Fact title="SHA-256 of the payload" isWide>
                <code class="break">{value.payload_sha256}</code>
              </Fact>
            </dl>
          </section>
          <Inclusion shard={Number(shard)} position={number} />
          {value.entries && value.entries.length > 0 && <Entries rows={value.entries} />}
          <Payload payload={value.payload} />
        </>
      )}
    </>
  )
}

type FactProps = { title: string; isWide?: boolean; children: ComponentChildren }

const Fact = ({ title, isWide = false, children }: FactProps) => (
  <div class={isWide ? 'wide' : ''}>
    <dt>{title}</dt>
    <dd>{children}</dd>
  </div>
)

/** Number of entries shown at first. */
const SHOWN = 200

function Entries({ rows }: { rows: Record<string, unknown>[] }) {
  const [max, setMax] = useState(SHOWN)
  const columns = Object.keys(rows[0]!)
  return (
    <section class="card" aria-label="Entries">
      <header>
        <h2>
          Entries <small class="muted">{formatCount(rows.length)}</small>
        </h2>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <section class="scroll" tabIndex={0} aria-label="Entries of the flush">
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col" class={classOf(rows[0]![column])}>
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, max).map((row, i) => (
              <tr key={i}>
                {columns.map((column) => (
                  <td key={column} class={classOf(row[column])}>
                    <Cell column={column} value={row[column]} />
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
const classOf = (value: unknown) =>
  typeof value === 'number' || typeof value === 'bigint' ? 'end' : ''

const PAGES: Record<string, string> = {
  api_key_id: '/api-keys/',
  group_id: '/groups/',
  token_hash: '/keys/',
}

function Cell({ column, value }: { column: string; value: unknown }) {
  const page = PAGES[column]
  const text = value === null ? '–' : String(value)
  if (page === undefined || !value) return <>{text}</>
  return (
    <To href={page + encodeURIComponent(text)} title={text}>
      {text}
    </To>
  )
}

function Payload({ payload }: { payload: unknown }) {
  const text = JSON.stringify(
    payload,
    (_, value) => (typeof value === 'bigint' ? String(value) : value),
    1,
  )
  return (
    <section class="card" aria-label="Payload">
      <header>
        <h2>Payload</h2>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <pre class="scroll" tabIndex={0}>
        {text.length > 100_000 ? `${text.slice(0, 100_000)}…` : text}
      </pre>
    </section>
  )
}
