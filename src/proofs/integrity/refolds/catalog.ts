import type { Refold, RefoldTable } from '../refold.ts'

/** A kind of catalog row: what names it, and what else it says. */
type Kind = { kind: string; id: string; idType: string; values: Record<string, string> }

const GROUPS: Kind = {
  kind: 'provider_groups',
  id: 'id',
  idType: 'bigint',
  values: { name: 'text' },
}
const API_KEYS: Kind = {
  kind: 'api_keys',
  id: 'id',
  idType: 'bigint',
  values: { group_id: 'bigint', name: 'text' },
}
const KEYS: Kind = {
  kind: 'keys',
  id: 'token_hash',
  idType: 'text',
  values: { quota_limit: 'bigint', name: 'text' },
}

/** In one change the last row of an id wins, and ended ones stand behind the others. */
const LAST = 'c.is_ended desc, c.ordinal desc'

const columnsOf = ({ values }: Kind) =>
  `${Object.keys(values)
    .map((value) => `c.${value}`)
    .join(', ')}, case when c.is_ended then c.recorded_at end`

function current(of: Kind): RefoldTable {
  const { kind, id, idType, values } = of
  const updated = [...Object.keys(values), 'ended_at']
  return {
    name: kind,
    columns: { [id]: idType, ...values, ended_at: 'timestamptz' },
    key: [id],
    isSharded: false,
    fold: `
      insert into refold_${kind}
      select distinct on (c.${id}) c.${id}, ${columnsOf(of)}
      from chunk_catalog c
      where c.kind = '${kind}'
      order by c.${id}, c.position desc, ${LAST}
      on conflict (${id}) do update set
        ${updated.map((column) => `${column} = excluded.${column}`).join(', ')}`,
  }
}

function versions(name: string, of: Kind): RefoldTable {
  const { kind, id, idType, values } = of
  return {
    name,
    columns: { [id]: idType, position: 'bigint', ...values, ended_at: 'timestamptz' },
    key: [id, 'position'],
    isSharded: false,
    fold: `
      insert into refold_${name}
      select distinct on (c.${id}, c.position) c.${id}, c.position, ${columnsOf(of)}
      from chunk_catalog c
      where c.kind = '${kind}'
      order by c.${id}, c.position, ${LAST}`,
  }
}

/** The catalog as the last change of each row left it, and as every change did. */
export const catalog: Refold = {
  projection: 'catalog',
  version: 2,
  group: 'current',
  tables: [
    current(GROUPS),
    versions('provider_group_versions', GROUPS),
    current(API_KEYS),
    versions('api_key_versions', API_KEYS),
    current(KEYS),
    versions('key_versions', KEYS),
  ],
}
