import { useEffect, useState } from 'preact/hooks'
import { Failure } from '../api.ts'
import { Failed } from '../parts/states.tsx'
import { findSession } from '../session.ts'

/** Delay (ms) before the page reports that there is no answer. */
const PATIENCE_MS = 1_500
/** Delay (ms) before a failed request is retried. */
const RETRY_MS = 3_000

/** Reads the session, however long that takes, and shows why it is not known yet. */
export function Waiting() {
  const [failure, setFailure] = useState<Failure | null>(null)
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = setTimeout(
      () => setFailure((known) => known ?? new Failure(0, 'The service has not answered yet.')),
      PATIENCE_MS,
    )
    const find = () =>
      findSession().catch((error) => {
        setFailure(Failure.from(error))
        timer = setTimeout(find, RETRY_MS)
      })
    void find()
    return () => {
      clearTimeout(late)
      clearTimeout(timer)
    }
  }, [])
  return (
    <main class="sign-in" aria-busy="true">
      {failure && <Failed failure={failure} onRetry={() => void findSession().catch(() => {})} />}
    </main>
  )
}
