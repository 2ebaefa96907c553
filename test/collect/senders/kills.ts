import { type CollectProcess, type CountedKey, readKey } from '../../support/collect.ts'
import type { ServiceProcess } from '../../support/service-process.ts'
import { until } from '../../support/until.ts'

/** A process that ends at once, as by a crash, and is started again. */
export type Victim = {
  kill(): Promise<void>
  start(): Promise<void>
  /** True if records are sent to it directly, so that none can be sent while it is away. */
  isSentTo?: boolean
}

/**
 * Sends records, `some` at a time: some while all run, then some for each of the victims, which is
 * killed half-way, some more while it is away, and some at the end. Returns how many were sent.
 */
export async function sendAndKill(
  some: number,
  send: (index: number) => Promise<void>,
  victims: readonly Victim[],
): Promise<number> {
  let sent = 0
  const sendSome = async () => {
    const end = sent + some
    while (sent < end) {
      await send(sent)
      sent++
    }
  }
  await sendSome()
  for (const victim of victims) {
    const half = sent + some / 2
    const sending = sendSome()
    await until(() => sent >= half)
    await victim.kill()
    if (victim.isSentTo) await victim.start()
    await sending
    await sendSome()
    if (!victim.isSentTo) await victim.start()
  }
  await sendSome()
  return sent
}

/** Waits until as much was counted for keys as was sent, and returns it when all is posted. */
export async function countedOf<const Keys extends readonly string[]>(
  collector: CollectProcess,
  service: ServiceProcess,
  keys: Keys,
  sent: number,
): Promise<{ [Key in keyof Keys]: CountedKey }> {
  const requestsOf = async (key: string) => (await readKey(service, key))?.total_requests ?? 0
  for (const key of keys) await until(async () => (await requestsOf(key)) >= sent)
  // It posts what it has before it ends: what was counted twice is then in the total.
  await collector.stop()
  const counted = await Promise.all(keys.map((key) => readKey(service, key)))
  return counted as { [Key in keyof Keys]: CountedKey }
}
