import { effect, signal } from '@preact/signals'
import { BASE } from './api.ts'
import { Election } from './election.ts'
import { findSession, session } from './session.ts'

/** Position of the last event of each shard, as reported by the service; null: unknown. */
export const heads = signal<string | null>(null)

/** True while the service reports new events. */
export const isConnected = signal(false)

/** Delay (ms) before retrying a connection that the service refused. */
const RETRY_MS = 3_000

type LiveState = { heads: string | null; isConnected: boolean }

let source: EventSource | null = null
let retry: ReturnType<typeof setTimeout> | undefined

/**
 * One window subscribes to the log for all that are visible: over HTTP/1.1 a browser opens six
 * connections to a host, and six windows with a stream each would leave none for other requests.
 */
const election = new Election<LiveState>(
  `tallybook.live${BASE}`,
  { lead: connect, resign: disconnect, hear: show },
  { heads: null, isConnected: false },
)

function connect(): void {
  if (source !== null) return
  source = new EventSource(`${BASE}/admin/live`)
  source.onopen = () => publish({ heads: heads.peek(), isConnected: true })
  source.onmessage = ({ data }) => publish({ heads: data, isConnected: true })
  source.onerror = () => {
    publish({ heads: heads.peek(), isConnected: false })
    // The browser does not reconnect after an answer that is not a stream.
    if (source?.readyState !== EventSource.CLOSED) return
    source = null
    retry = setTimeout(rejoin, RETRY_MS)
  }
}

/** Joins the election again: if a user is still signed in, this window or another one connects. */
function rejoin(): void {
  election.leave()
  findSession()
    .catch(() => {})
    .finally(joinOrLeave)
}

function disconnect(): void {
  clearTimeout(retry)
  source?.close()
  source = null
}

function publish(state: LiveState): void {
  show(state)
  election.publish(state)
}

function show(state: LiveState): void {
  heads.value = state.heads
  isConnected.value = state.isConnected
}

/** Joins the election if a user is signed in and the page is visible; leaves it otherwise. */
function joinOrLeave(): void {
  if (session.peek() && !document.hidden) {
    election.join()
    return
  }
  election.leave()
  publish({ heads: heads.peek(), isConnected: false })
}

/** Keeps `heads` and `isConnected` current for as long as the page exists. */
export function startLive(): void {
  effect(() => {
    void session.value
    joinOrLeave()
  })
  document.addEventListener('visibilitychange', joinOrLeave)
  // A page restored from the back/forward cache gets `pageshow`.
  addEventListener('pagehide', () => election.leave())
  addEventListener('pageshow', joinOrLeave)
}
