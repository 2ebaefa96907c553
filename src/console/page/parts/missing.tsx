import { isPast, useAsOf } from '../as-of.ts'
import { Empty } from './states.tsx'
import { Title } from './title.tsx'
import { To } from './to.tsx'

type Props = {
  /** The missing row: `provider group #7`. */
  what: string
  /** The page that lists such rows, and its name. */
  href: string
  place: string
}

/** The page of a row that does not exist. */
export function Missing({ what, href, place }: Props) {
  const past = isPast(useAsOf())
  return (
    <>
      <Title>Not found</Title>
      <section class="card" aria-label="Not found">
        <Empty title={past ? `There was no ${what} at that time.` : `There is no ${what}.`}>
          <To href={href}>{`Go to ${place}`}</To>
        </Empty>
      </section>
    </>
  )
}
