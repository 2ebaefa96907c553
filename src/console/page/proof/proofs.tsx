import { Title } from '../parts/title.tsx'
import { Heads } from './heads.tsx'
import { Verifications } from './verifications.tsx'

/** What shows that the log is what it was, and the numbers are what the log says. */
export const Proofs = () => (
  <>
    <Title>Proofs</Title>
    <div class="pair">
      <Heads />
      <Verifications />
    </div>
  </>
)
