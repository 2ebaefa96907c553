import { effect, signal } from '@preact/signals'
import { BASE } from './api.ts'
import { Election } from './election.ts'
import { findSession, session } from './session.ts'

/** Position of the last event of each shard, as the service tells it; null: not known. */
export const heads = signal<string | null>(null)

/** Whether the service tells what is new. */
export const isConnected = signal(false)

/** Milliseconds until a connection is tried again that the service refused. */
const RETRY_MS = 3_000

type Told = { heads: string | null; isConnected: boolean }

let source: EventSource | null = null
let retry: ReturnType<typeof setTimeout> | undefined

/**
 * One window follows the log for all that are visible: over HTTP/1.1 a browser has six connections
 * to a host, and with a stream each in six windows nothing else would be answered in any.
 */
const election = new Election<Told>(
  `tallybook.live${BASE}`,
  { lead: connect, resign: disconnect, hear: show },
  { heads: null, isConnected: false },
)

function connect(): void {
  if (source !== null) return
  source = new EventSource(`${BASE}/admin/live`)
  source.onopen = () => tell({ heads: heads.peek(), isConnected: true })
  source.onmessage = ({ data }) => tell({ heads: data, isConnected: true })
  source.onerror = () => {
    tell({ heads: heads.peek(), isConnected: false })
    // After an answer that is no stream the browser doesn't come again by itself.
    if (source?.readyState !== EventSource.CLOSED) return
    source = null
    retry = setTimeout(tryAgain, RETRY_MS)
  }
}

/** Joins anew: where somebody is signed in, this window or another one connects. */
function tryAgain(): void {
  election.leave()
  findSession()
    .catch(() => {})
    .finally(takePart)
}

function disconnect(): void {
  clearTimeout(retry)
  source?.close()
  source = null
}

function tell(told: Told): void {
  show(told)
  election.tell(told)
}

function show(told: Told): void {
  heads.value = told.heads
  isConnected.value = told.isConnected
}

/** Follows the log while somebody is signed in and looks at the page. */
function takePart(): void {
  if (session.peek() && !document.hidden) {
    election.join()
    return
  }
  election.leave()
  tell({ heads: heads.peek(), isConnected: false })
}

export function startLive(): void {
  effect(() => {
    void session.value
    takePart()
  })
  document.addEventListener('visibilitychange', takePart)
  // A page that is kept for the back button comes back by `pageshow`.
  addEventListener('pagehide', () => election.leave())
  addEventListener('pageshow', takePart)
}
