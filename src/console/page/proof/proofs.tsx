import { Title } from '../parts/title.tsx'
import { Heads } from './heads.tsx'
import { Verifications } from './verifications.tsx'

/** Shows that the log still begins with what it was, and that the numbers match the log. */
export const Proofs = () => (
  <>
    <Title>Proofs</Title>
    <div class="pair">
      <Heads />
      <Verifications />
    </div>
  </>
)
