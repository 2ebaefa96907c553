import { signal } from '@preact/signals'
import { api, BASE, onUnauthorized, unwrap } from './api.ts'

export type Session = { name: string; role: string; expires_at: string | null }

/** Who is signed in; null: nobody; undefined: not known yet. */
export const session = signal<Session | null | undefined>(undefined)

/** What only an admin may do is shown to nobody else. */
export const isAdmin = () => session.value?.role === 'admin'

/** Other tabs of this browser follow who signs in and out. */
const tabs = new BroadcastChannel(`tallybook.session${BASE}`)
tabs.onmessage = () => void findSession().catch(() => {})

onUnauthorized.tell = () => {
  session.value = null
}

/** Asks the service who is signed in; throws Failure. */
export async function findSession(): Promise<void> {
  session.value = (await unwrap(api.session.get())).value
}

/** What went wrong, in a sentence; null: signed in. The token is kept nowhere. */
export async function signIn(token: string): Promise<string | null> {
  const { data, error } = await api.session.post({ token })
  if (data) {
    session.value = data
    tabs.postMessage('in')
    return null
  }
  switch (error.status as number) {
    case 401:
      return 'No such token. Copy it whole, as it was shown when it was made.'
    case 403:
      return 'That token posts flushes. The console is for admins and auditors.'
    case 429:
      return 'Too many wrong tokens came from here. Try again in a minute.'
    default:
      return `The service didn't answer (${error.status}). Try again.`
  }
}

export async function signOut(): Promise<void> {
  await api.session.delete()
  session.value = null
  tabs.postMessage('out')
}
