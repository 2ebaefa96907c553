import { CircleAlert, CircleCheck, ShieldCheck } from 'lucide-preact'
import { useEffect, useState } from 'preact/hooks'
import { api, Failure, unwrap } from '../api.ts'
import { formatCountOf, formatTime } from '../format.ts'
import { Busy, Failed } from '../parts/states.tsx'
import { canHash, toBase64 } from './hash.ts'
import type { Key } from './note.ts'
import { type Compared, compareHead, loadKeys, trustKeys } from './trusted-log.ts'

/** Compares the current signed tree heads with those that this browser saw last. */
export function Heads() {
  const [compared, setCompared] = useState<Compared[] | null>(null)
  const [unknown, setUnknown] = useState<Key[]>([])
  const [failure, setFailure] = useState<Failure | null>(null)
  const compare = async () => {
    setFailure(null)
    try {
      const { value: status } = await unwrap(api.admin.status.get())
      const named = await loadKeys()
      setUnknown(named.unknown)
      const all: Compared[] = []
      for (let shard = 0; shard < status.shards; shard++) {
        all.push(await compareHead(shard, named.keys))
      }
      setCompared(all)
    } catch (error) {
      setFailure(Failure.from(error))
    }
  }
  useEffect(() => {
    if (canHash()) void compare()
  }, [])
  return (
    <section class="card" aria-label="Signed tree heads">
      <header>
        <h2>The signed log, then and now</h2>
        <button type="button" class="small" onClick={compare} disabled={!canHash()}>
          <ShieldCheck aria-hidden size={14} /> Compare again
        </button>
      </header>
      {!canHash() && (
        <p class="notice fair">
          Browsers can hash only on HTTPS. Compare with tallybook audit instead.
        </p>
      )}
      {failure && <Failed failure={failure} onRetry={compare} />}
      {unknown.length > 0 && (
        <div class="notice fair">
          <div>
            <p class="title">The service lists keys that this browser has not seen.</p>
            <p>Trust them only if the operator confirmed them through another channel.</p>
            <ul>
              {unknown.map(({ text }) => (
                <li key={text}>
                  <code class="break">{text}</code>
                </li>
              ))}
            </ul>
            <button
              type="button"
              class="small"
              onClick={() => {
                trustKeys(unknown)
                void compare()
              }}
            >
              Trust them
            </button>
          </div>
        </div>
      )}
      {compared === null && canHash() && !failure && <Busy what="tree heads" />}
      <ul class="heads">
        {compared?.map((one, shard) => (
          <Head key={shard} compared={one} />
        ))}
      </ul>
    </section>
  )
}

function Head({ compared }: { compared: Compared }) {
  const { head } = compared
  const isBad = compared.kind === 'bad'
  return (
    <li class={`notice ${isBad ? 'bad' : 'good'}`}>
      {isBad ? <CircleAlert aria-hidden size={18} /> : <CircleCheck aria-hidden size={18} />}
      <div>
        <p class="title">{toSentence(compared)}</p>
        {head && (
          <p class="break">
            <code>{head.origin}</code> · {formatCountOf(head.size, 'event')} · root{' '}
            <code>{toBase64(head.root)}</code>
          </p>
        )}
      </div>
    </li>
  )
}

function toSentence(compared: Compared): string {
  switch (compared.kind) {
    case 'first':
      return 'Seen here for the first time. The next visit compares with it.'
    case 'same':
      return `Signed, and the same as on ${formatTime(compared.seenAt, 'minute')}.`
    case 'grown':
      return (
        `Signed, and it begins with ${formatAll(compared.before.size)} that it had ` +
        `on ${formatTime(compared.seenAt, 'minute')}.`
      )
    case 'bad':
      return compared.reason
    default:
      return compared satisfies never
  }
}

const formatAll = (events: number) =>
  events === 1 ? 'the event' : `all ${formatCountOf(events, 'event')}`
