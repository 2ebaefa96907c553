/** Milliseconds after which a condition counts as failed; enough for a slow machine. */
const PATIENCE_MS = 60_000

/** Polls until the value is neither false nor null nor undefined, and returns it. */
export async function until<Value>(
  read: () => Value | Promise<Value>,
  patienceMs = PATIENCE_MS,
): Promise<Exclude<Value, false | null | undefined>> {
  for (const end = performance.now() + patienceMs; ; await Bun.sleep(25)) {
    const value = await read()
    if (value !== false && value !== null && value !== undefined) {
      return value as Exclude<Value, false | null | undefined>
    }
    if (performance.now() > end) throw new Error(`not within ${patienceMs} ms: ${read}`)
  }
}
