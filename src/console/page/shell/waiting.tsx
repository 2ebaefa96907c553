import { useEffect, useState } from 'preact/hooks'
import { Failure } from '../api.ts'
import { Failed } from '../parts/states.tsx'
import { findSession } from '../session.ts'

/** Milliseconds until it is worth saying that there is no answer. */
const PATIENCE_MS = 1_500
/** Milliseconds from a try that failed to the next. */
const RETRY_MS = 3_000

/** Finds out who is signed in, however long that takes, and says why it isn't known yet. */
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
