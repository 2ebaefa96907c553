import { History } from 'lucide-preact'
import { useState } from 'preact/hooks'
import { Failure } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { formatTime } from '../format.ts'
import { Dialog, Field } from '../parts/dialog.tsx'
import { useParams } from '../parts/use-params.ts'
import { zone } from '../settings.ts'
import { readTimestamp, toTimestamp } from '../timestamp.ts'

const BACK = [
  { title: 'An hour ago', ms: 3_600_000 },
  { title: 'A day ago', ms: 86_400_000 },
  { title: 'A week ago', ms: 604_800_000 },
]

/** Lets the user view the whole console as of a time or a position, and return to now. */
export function AsOfPicker() {
  const asOf = useAsOf()
  const [, change] = useParams()
  const [isOpen, setOpen] = useState(false)
  const goTo = (to: { as_of?: string; as_of_position?: string }) =>
    change({ as_of: null, as_of_position: null, from: null, to: null, ...to })
  const submit = async (form: FormData) => {
    const position = (form.get('position') as string).trim()
    if (position !== '') return goTo({ as_of_position: position })
    const time = readTimestamp(form.get('time') as string)
    if (time === null) throw new Failure(0, 'Enter a time or a position.')
    if (time > Date.now()) throw new Failure(0, 'This time is in the future.')
    goTo({ as_of: toTimestamp(time) })
  }
  const text = asOf.as_of ? formatTime(asOf.as_of) : asOf.as_of_position
  return (
    <div class="as-of">
      <button type="button" class={isPast(asOf) ? 'chosen' : ''} onClick={() => setOpen(true)}>
        <History aria-hidden size={16} />
        <span>{text ? `As of ${text}` : 'As of now'}</span>
      </button>
      {isPast(asOf) && (
        <button type="button" class="primary" onClick={() => goTo({})}>
          Back to now
        </button>
      )}
      {isOpen && (
        <Dialog
          title="Show as of"
          action="Go there"
          onSubmit={submit}
          onClose={() => setOpen(false)}
        >
          <div class="choices">
            {BACK.map(({ title, ms }) => (
              <button
                key={title}
                type="button"
                class="small"
                onClick={({ currentTarget }) => {
                  goTo({ as_of: toTimestamp(Date.now() - ms) })
                  currentTarget.closest('dialog')!.close()
                }}
              >
                {title}
              </button>
            ))}
          </div>
          <Field
            label={`Time (${zone.value === 'utc' ? 'UTC' : 'local time'})`}
            name="time"
            type="datetime-local"
            step="1"
          />
          <Field
            label="or position in the log"
            name="position"
            pattern="\d+/-?\d+(,\d+/-?\d+)*"
            hint="As in the Tallybook-Position header: 0/41, or 0/41,1/7."
          />
        </Dialog>
      )}
    </div>
  )
}
