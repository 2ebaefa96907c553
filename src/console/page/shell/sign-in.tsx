import { useState } from 'preact/hooks'
import { Failure } from '../api.ts'
import { Failed } from '../parts/states.tsx'
import { signIn } from '../session.ts'
import { Mark } from './mark.tsx'

/** Asks for a token, which is sent once and never stored in the browser. */
export function SignIn() {
  const [failure, setFailure] = useState<Failure | null>(null)
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = event.currentTarget as HTMLFormElement
    const token = new FormData(form).get('token') as string
    setBusy(true)
    const problem = await signIn(token.trim()).catch(() => 'The service is unreachable.')
    setBusy(false)
    setFailure(problem === null ? null : new Failure(0, problem))
    form.reset()
  }
  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <h1>
          <Mark /> Tallybook
        </h1>
        <p>Sign in with the token of an admin or an auditor.</p>
        <p class="field">
          <label for="token">Token</label>
          <input
            id="token"
            name="token"
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            autofocus
          />
        </p>
        {failure && <Failed failure={failure} />}
        <button type="submit" class="primary" disabled={isBusy}>
          Sign in
        </button>
        <p class="hint">
          The first start of the service creates tokens and stores them in its data directory.
        </p>
      </form>
    </main>
  )
}
