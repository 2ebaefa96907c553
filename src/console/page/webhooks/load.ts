import { api, unwrap } from '../api.ts'

/** Reads what the page shows. */
export async function load() {
  const query = { limit: '200' }
  const [rules, webhooks, deliveries] = await Promise.all([
    unwrap(api.admin.rules.get()),
    unwrap(api.admin.webhooks.get()),
    unwrap(api.admin['webhook-deliveries'].get({ query })),
  ])
  return {
    rules: rules.value.items,
    webhooks: webhooks.value.items,
    deliveries: deliveries.value.items,
  }
}

type Loaded = Awaited<ReturnType<typeof load>>
export type Rule = Loaded['rules'][number]
export type Webhook = Loaded['webhooks'][number]
export type Delivery = Loaded['deliveries'][number]
