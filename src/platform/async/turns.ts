/** How long (ms) to work before yielding: a delay too short to notice. */
const SLICE_MS = 10

/** Resolves when the event loop has run everything else that is pending. */
export const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Runs an iterator to its end, yielding to the event loop every 10 ms. Returns its result. */
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
