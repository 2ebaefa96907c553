import { ChevronLeft, ChevronRight, Undo2 } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { REVERSIBLE } from '../../../events/reversible.ts'
import { api, unwrap } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { Recorded, ToEvent } from '../bookkeeping/recorded.tsx'
import { Reverse } from '../bookkeeping/reverse.tsx'
import { useReversal } from '../bookkeeping/use-reversal.ts'
import { formatTime } from '../format.ts'
import { Missing } from '../parts/missing.tsx'
import { Bone, Failed } from '../parts/states.tsx'
import { Title } from '../parts/title.tsx'
import { To } from '../parts/to.tsx'
import { Inclusion } from '../proof/inclusion.tsx'
import { isAdmin } from '../session.ts'
import { useRead } from '../use-read.ts'
import { describeEvent } from './describe.ts'
import { Entries } from './entries.tsx'
import { statedTime } from './packed.ts'

/** Shows an event of the log: its content, its hashes, and a proof that the signed log has it. */
export function Event({ shard, position }: { shard: string; position: string }) {
  const { value, failure, reload } = useRead(
    `event ${shard}/${position}`,
    async () => (await unwrap(api.audit.events({ shard })({ position }).get())).value,
    { everyMs: null },
  )
  const [isReversing, setReversing] = useState(false)
  const [reversal, setReversal] = useState<string | null>(null)
  const known = useReversal(`${shard}/${position}`, isReversible(value?.type), isReversing)
  const past = isPast(useAsOf())
  const canReverse = isAdmin() && !past && known === null && reversal === null
  const counted = value ? statedTime(value.type, value.payload) : null
  const reversed = value?.type === 'EventReversed' && toPosition(value.payload)
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
          {canReverse && (
            <button type="button" class="grave-quiet" onClick={() => setReversing(true)}>
              <Undo2 aria-hidden size={14} /> Reverse
            </button>
          )}
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
      {reversal && (
        <Recorded>
          Reversed by event <ToEvent position={reversal} />.
        </Recorded>
      )}
      {isReversing && (
        <Reverse
          position={`${shard}/${position}`}
          onClose={(done) => {
            setReversing(false)
            setReversal(done)
          }}
        />
      )}
      {value && (
        <>
          <section class="card" aria-label="Columns">
            <dl class="columns">
              {reversed && (
                <Fact title="Reversed event">
                  <ToEvent position={reversed} />
                </Fact>
              )}
              {known && reversal === null && (
                <Fact title="Reversed by">
                  <ToEvent position={known} />
                </Fact>
              )}
              <Fact title="Recorded">{formatTime(value.recorded_at)}</Fact>
              {counted !== null && <Fact title="Counted">{formatTime(counted * 1_000)}</Fact>}
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

const isReversible = (type: string | undefined) =>
  REVERSIBLE.some((reversible) => reversible === type)

/** Returns the position of the event that a reversal has reversed, or null if it names none. */
function toPosition(payload: unknown): string | null {
  const { reversed } = (payload ?? {}) as { reversed?: unknown }
  return typeof reversed === 'string' && /^\d+\/\d+$/.test(reversed) ? reversed : null
}

type FactProps = { title: string; isWide?: boolean; children: ComponentChildren }

const Fact = ({ title, isWide = false, children }: FactProps) => (
  <div class={isWide ? 'wide' : ''}>
    <dt>{title}</dt>
    <dd>{children}</dd>
  </div>
)

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
