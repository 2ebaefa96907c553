/** Citus refuses an update that computes a time from a column. */
const NO_TIME = 'moves times by an update that Citus refuses'

const COLUMNS = 'on Citus rights on columns of tiles become rights on the table'

const ONE_TABLE = 'on Citus the log is one table'

/** Files that are excluded, by prefix, and why. */
export const EXCLUDED_FILES: Record<string, string> = {
  'test/cli/': 'starts an embedded server',
  'test/platform/postgres/embedded': 'starts an embedded server',
  'test/faults/': 'starts an embedded server and breaks it',
  'test/proofs/integrity/single-value-corruption.db':
    "changes columns that Citus lets no statement change, such as a row's shard",
  'test/segments/': ONE_TABLE,
  'test/platform/postgres/convert-log.db': ONE_TABLE,
  'test/log/overtaken.db':
    'a trigger raises the error of a moving shard; citus-moves.db moves a real one',
  'test/platform/postgres/schema.db': COLUMNS,
  'test/console/': 'tests what a browser does with routes that test/http covers',
}

/** Tests that are excluded, by part of their name, and why. */
export const EXCLUDED_TESTS: Record<string, string> = {
  events_0: ONE_TABLE,
  create_segment: ONE_TABLE,
  'if another writer adds to its': 'uses a function that the workers do not have',
  'its role has no attributes': 'on Citus the role signs in to the workers',
  'that is later than the next one is reported': NO_TIME,
  "quarter = quarter - interval '1 day'": NO_TIME,
  'that was moved to another hour': NO_TIME,
  'a start makes an attestation if': NO_TIME,
  'no event is recorded at or before an answered as_of, wherever': NO_TIME,
  'granting again restores exactly the grants of the migrations': COLUMNS,
}
