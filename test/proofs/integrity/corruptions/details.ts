import {
  type Alteration,
  BIT,
  corruptionsOf,
  IN_ARRAY,
  is,
  LETTER,
  LETTER_IN_ARRAY,
  LOW_BIT,
  PLUS_1,
} from './corruption.ts'

const measures = (table: string, id: string) =>
  corruptionsOf(
    table,
    { at: `concat('${table} ', shard, '/', ${id})`, foundBy: 'refold' },
    {
      ...{ shard: BIT, generation: BIT, [id]: id === 'token_hash' ? LETTER : BIT },
      measures: IN_ARRAY,
    },
  )

const parts = (table: string, id: string, values: string[]) => {
  const isBackdated = /_(?:backdated|daily|monthly)_/.test(table)
  const columns = ['shard', id, 'quarter', ...(isBackdated ? ['position'] : []), 'combination']
  return corruptionsOf(
    table,
    { at: `'${table} ' || concat_ws('/', ${columns.join(', ')})`, foundBy: 'refold' },
    {
      ...{ shard: BIT, generation: BIT, [id]: id === 'token_hash' ? LETTER : BIT },
      quarter: [is('a day later', "quarter + interval '1 day'")],
      ...(isBackdated && { position: BIT }),
      combination: LETTER,
      ...Object.fromEntries(values.map((value) => [value, PLUS_1])),
      measures: { ...IN_ARRAY, where: 'cardinality(measures) > 0' } as Alteration,
    },
  )
}

const measureSnapshots = (table: string, [first, last, ids]: [string, string, string]) => {
  const isText = first === 'first_hash'
  return corruptionsOf(
    table,
    {
      at: `concat('${table} ', shard, '/', position, '/', number, '/', ${first})`,
      foundBy: 'snapshots',
    },
    {
      ...{ shard: BIT, generation: BIT, position: LOW_BIT, number: BIT },
      [first]: isText ? LETTER : BIT,
      [last]: isText ? LETTER : BIT,
      [ids]: isText ? LETTER_IN_ARRAY : IN_ARRAY,
      totals: IN_ARRAY,
    },
  )
}

/** Changes of the tables of measures, and of usage by combination. */
export const DETAIL_CORRUPTIONS = [
  ...measures('api_key_measures', 'api_key_id'),
  ...measures('provider_group_measures', 'provider_group_id'),
  ...measures('key_measures', 'token_hash'),
  ...['parts', 'backdated_parts', 'daily_parts', 'monthly_parts'].flatMap((name) => [
    ...parts(`api_key_${name}`, 'api_key_id', ['requests', 'successes']),
    ...parts(`provider_group_${name}`, 'provider_group_id', ['requests', 'successes']),
    ...parts(`key_${name}`, 'token_hash', ['requests', 'tokens', 'quota_used']),
  ]),
  ...measureSnapshots('api_key_measure_snapshots', ['first_id', 'last_id', 'ids']),
  ...measureSnapshots('provider_group_measure_snapshots', ['first_id', 'last_id', 'ids']),
  ...measureSnapshots('key_measure_snapshots', ['first_hash', 'last_hash', 'token_hashes']),
]
