import type { OldSystem } from './old-books.ts'
import type { Service } from './service.ts'

/** A row of the service: a provider group, or an API key. */
export type ServiceRated = {
  id: number
  external_id: string | null
  group_id?: number
  name: string | null
  total_requests: number | bigint
  success_requests: number | bigint
  ended_at?: string
}

export type ServiceKey = {
  token_hash: string
  name: string | null
  request_count: number | bigint
  used_tokens: number | bigint
  quota_limit: number
  quota_used: number | bigint
  quota_period?: string
  ended_at?: string
}

/** The rows of the service, retired ones included, by the names that the older system has. */
export type Accounts = {
  groups: Map<string, ServiceRated>
  apiKeys: Map<string, ServiceRated>
  keys: Map<string, ServiceKey>
}

/** Reads all rows of the service, without those that have no name of an older system. */
export async function readAccounts(service: Service, system: OldSystem): Promise<Accounts> {
  const read = async (path: string) => {
    const rows = await service.readAll<ServiceRated>(path)
    const named = rows.map((row) => [nameOf(system, row), row] as const)
    return new Map(named.filter((pair): pair is [string, ServiceRated] => pair[0] !== null))
  }
  const groups = await read('/admin/provider-groups?ended=true&sort=id')
  const apiKeys = await read('/admin/api-keys?ended=true&sort=id')
  const keys = await service.readAll<ServiceKey>('/admin/keys?ended=true&sort=token_hash')
  return { groups, apiKeys, keys: new Map(keys.map((row) => [row.token_hash, row])) }
}

const nameOf = ({ namedBy }: OldSystem, { id, external_id }: ServiceRated) =>
  namedBy === 'id' ? String(id) : external_id
