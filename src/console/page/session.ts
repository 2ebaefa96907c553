import { signal } from '@preact/signals'
import { api, BASE, onUnauthorized, unwrap } from './api.ts'

/** The signed-in token's name and role, and when the session ends (RFC 3339). */
export type Session = { name: string; role: string; expires_at: string | null }

/** The user's session; null: not signed in; undefined: not known yet. */
export const session = signal<Session | null | undefined>(undefined)

/** True if the user is an admin; other users do not see what only admins may do. */
export const isAdmin = () => session.value?.role === 'admin'

/** Notifies other tabs of this browser when the user signs in or out. */
const tabs = new BroadcastChannel(`tallybook.session${BASE}`)
tabs.onmessage = () => void findSession().catch(() => {})

onUnauthorized.notify = () => {
  session.value = null
}

/** Reads the session from the service. Throws Failure. */
export async function findSession(): Promise<void> {
  session.value = (await unwrap(api.session.get())).value
}

/** Signs in; returns a sentence if that failed, else null. The token is not stored anywhere. */
export async function signIn(token: string): Promise<string | null> {
  const { data, error } = await api.session.post({ token })
  if (data) {
    session.value = data
    tabs.postMessage('in')
    return null
  }
  switch (error.status as number) {
    case 401:
      return 'Unknown token. Copy all of it, as it was shown when it was created.'
    case 403:
      return 'This token can only post flushes. Use the token of an admin or an auditor.'
    case 429:
      return 'Too many wrong tokens from this address. Try again in a minute.'
    default:
      return `Signing in failed (${error.status}). Try again.`
  }
}

/** Ends the session, in all tabs of this browser. */
export async function signOut(): Promise<void> {
  await api.session.delete()
  session.value = null
  tabs.postMessage('out')
}
