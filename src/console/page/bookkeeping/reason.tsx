import { Field } from '../parts/dialog.tsx'

/** Asks why an administrator corrects. */
export const Reason = () => (
  <Field
    label="Reason"
    name="reason"
    required
    maxLength={500}
    pattern=".*\S.*"
    hint="The log keeps it for good."
  />
)
