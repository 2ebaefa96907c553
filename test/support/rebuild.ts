import { expect } from 'bun:test'
import type { TestService } from './service.ts'

/** One projection in the answer of GET /admin/projections. */
type Item = {
  name: string
  generation: number
  rebuild: { generation: number; state: string; error: string | null } | null
}

/** Milliseconds that rebuilds may take on a slow machine. */
const PATIENCE_MS = 90_000

/** Rebuilds projections through the API, all at once, and waits until the new ones are live. */
export async function rebuildByHttp(service: TestService, names: string[]): Promise<void> {
  const answers = await Promise.all(
    names.map((name) =>
      service.fetch('admin', `/admin/projections/${name}/rebuild`, { method: 'POST' }),
    ),
  )
  expect(answers.map(({ status }) => status)).toEqual(names.map(() => 202))
  const replaced = new Map<string, number>()
  for (const answer of answers) {
    const { projection, replaces } = (await answer.json()) as Record<string, never>
    replaced.set(projection!, replaces!)
  }
  const end = performance.now() + PATIENCE_MS
  while (replaced.size > 0) {
    const { items } = await service.read<{ items: Item[] }>('/admin/projections')
    for (const { name, generation, rebuild } of items) {
      const before = replaced.get(name)
      if (before === undefined || !rebuild || rebuild.generation === before) continue
      if (generation > before) replaced.delete(name)
      else if (/failed|killed/.test(rebuild.state)) throw new Error(`${name}: ${rebuild.error}`)
    }
    if (performance.now() > end) throw new Error(`not live: ${JSON.stringify(items)}`)
    await Bun.sleep(50)
  }
}
