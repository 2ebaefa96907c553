import { effect, signal } from '@preact/signals'
import { BASE } from './api.ts'
import { findSession, session } from './session.ts'

/** Position of the last event of each shard, as the service tells it; null: not known. */
export const heads = signal<string | null>(null)

/** Whether the service tells what is new. */
export const isConnected = signal(false)

/** Milliseconds until a connection is tried again that the service refused. */
const RETRY_MS = 3_000

let source: EventSource | null = null

function connect(): void {
  if (source !== null || !session.value || document.hidden) return
  source = new EventSource(`${BASE}/admin/live`)
  source.onopen = () => {
    isConnected.value = true
  }
  source.onmessage = ({ data }) => {
    heads.value = data
  }
  source.onerror = () => {
    isConnected.value = false
    // After an answer that is no stream the browser doesn't come again by itself.
    if (source?.readyState !== EventSource.CLOSED) return
    disconnect()
    setTimeout(
      () =>
        findSession()
          .catch(() => {})
          .finally(connect),
      RETRY_MS,
    )
  }
}

function disconnect(): void {
  source?.close()
  source = null
  isConnected.value = false
}

/** Follows the log while somebody is signed in and looks at the page. */
export function startLive(): void {
  effect(() => {
    if (session.value) connect()
    else disconnect()
  })
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) disconnect()
    else connect()
  })
}
