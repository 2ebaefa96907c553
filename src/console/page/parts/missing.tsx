import { isPast, useAsOf } from '../as-of.ts'
import { Empty } from './states.tsx'
import { Title } from './title.tsx'
import { To } from './to.tsx'

type Props = {
  /** What isn't there: `provider group #7`. */
  what: string
  /** Where there are others, and what that page is called. */
  href: string
  place: string
}

/** The page of something that there isn't. */
export function Missing({ what, href, place }: Props) {
  const past = isPast(useAsOf())
  return (
    <>
      <Title>Not found</Title>
      <section class="card" aria-label="Not found">
        <Empty title={past ? `As of then there was no ${what}.` : `There is no ${what}.`}>
          <To href={href}>{`Go to ${place}`}</To>
        </Empty>
      </section>
    </>
  )
}
