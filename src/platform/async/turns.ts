/** Milliseconds of work after which others have a turn: nobody notices so little. */
const SLICE_MS = 10

/** Resolves when this thread has done what else is waiting for it. */
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Takes all that is made a step at a time, and lets others have their turn meanwhile. */
export async function runInTurns<Value, Made>(
  steps: Iterator<Value, Made>,
  run: (value: Value) => void = () => {},
): Promise<Made> {
  let began = performance.now()
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    run(value)
    if (performance.now() - began < SLICE_MS) continue
    await nextTurn()
    began = performance.now()
  }
}
