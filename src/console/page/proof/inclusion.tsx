import { Check, ShieldCheck, X } from 'lucide-preact'
import { useState } from 'preact/hooks'
import { api, BASE, Failure, unwrap } from '../api.ts'
import { Failed } from '../parts/states.tsx'
import { canHash } from './hash.ts'
import { checkInclusion, type Step } from './inclusion.ts'
import { loadKeys } from './trusted-log.ts'

/** Checks in this browser that an event is in the signed log, step by step. */
export function Inclusion({ shard, position }: { shard: number; position: number }) {
  const [steps, setSteps] = useState<Step[]>([])
  const [state, setState] = useState<'idle' | 'busy' | 'done'>('idle')
  const [failure, setFailure] = useState<Failure | null>(null)
  const check = async () => {
    setState('busy')
    setFailure(null)
    const done: Step[] = []
    setSteps(done)
    try {
      const { keys } = await loadKeys()
      const at = { shard: String(shard), position: String(position) }
      const { value } = await unwrap(
        api.audit.events({ shard: at.shard })({ position: at.position })['tlog-proof'].get(),
      )
      for await (const step of checkInclusion(value, keys, { shard, position })) {
        done.push(step)
        setSteps([...done])
      }
    } catch (error) {
      setFailure(Failure.from(error))
    }
    setState('done')
  }
  const isGood = steps.length > 0 && steps.every((step) => step.isGood)
  return (
    <section class="card" aria-label="Inclusion proof">
      <header>
        <h2>Proof that the log contains this event</h2>
        <div class="choices">
          <a
            class="button small"
            href={`${BASE}/audit/events/${shard}/${position}/tlog-proof`}
            download
          >
            Save the proof
          </a>
          <button
            type="button"
            class="primary small"
            onClick={check}
            disabled={state === 'busy' || !canHash()}
          >
            <ShieldCheck aria-hidden size={14} /> Check it here
          </button>
        </div>
      </header>
      {!canHash() && (
        <p class="notice fair">
          Browsers can hash only on HTTPS. Save the proof, and check it with tallybook audit.
        </p>
      )}
      {state === 'idle' && (
        <p class="muted">
          The browser itself hashes the event, climbs the tree to its root, and verifies the
          signature of the root.
        </p>
      )}
      {failure && <Failed failure={failure} onRetry={check} />}
      <p class={`verdict ${isGood ? 'good' : 'bad'}`} role="status">
        {state === 'done' &&
          !failure &&
          (isGood
            ? 'The event is in the log: every step succeeded.'
            : 'The check failed. Save this page, and contact the operator of the service.')}
      </p>
      <ol class="steps">
        {steps.map((step, i) => (
          <li key={i} class={step.isGood ? 'good' : 'bad'}>
            {step.isGood ? (
              <Check aria-label="succeeded" size={16} />
            ) : (
              <X aria-label="failed" size={16} />
            )}
            <div>
              <p class="title">{step.title}</p>
              <p class="muted break">{step.detail}</p>
              <code class="break">{step.result}</code>
            </div>
          </li>
        ))}
      </ol>
    </section>
  )
}
