/** Milliseconds after which something that has not come to pass never will, on a slow machine too. */
const PATIENCE_MS = 60_000

/** Reads again and again until the value is neither false nor null, and returns it. */
export async function until<Value>(
  read: () => Value | Promise<Value>,
): Promise<Exclude<Value, false | null | undefined>> {
  for (const end = performance.now() + PATIENCE_MS; ; await Bun.sleep(25)) {
    const value = await read()
    if (value !== false && value !== null && value !== undefined) {
      return value as Exclude<Value, false | null | undefined>
    }
    if (performance.now() > end) throw new Error(`not within ${PATIENCE_MS} ms: ${read}`)
  }
}
