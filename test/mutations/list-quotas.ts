import type { Mutation } from './mutation.ts'

/** Faults of quotas, of the registration of unknown keys, and of ending cut-off sessions. */
export const QUOTA_MUTATIONS: readonly Mutation[] = [
  {
    name: 'week-from-sunday',
    file: 'src/quota/periods.ts',
    find: 'days: day.dayOfWeek - 1',
    replace: 'days: day.dayOfWeek % 7',
    harm: 'Weekly quotas begin anew a day early, and those of Sundays never count.',
    tests: ['test/quota/periods', 'test/quota'],
  },
  {
    name: 'first-quarter-hour-free',
    file: 'src/quota/used.ts',
    find: 'where p.reset is null and u.quarter >= p.start',
    replace: 'where p.reset is null and u.quarter > p.start',
    harm: 'Tokens of the first quarter hour of a period cost nothing.',
    tests: ['test/quota/history', 'test/quota', 'test/property/histories'],
  },
  {
    name: 'reset-given-back-twice',
    file: 'src/quota/used.ts',
    find: 'u.position > p.reset and coalesce(a.quarter, u.quarter) < p.start',
    replace: 'u.position > p.reset and coalesce(a.quarter, u.quarter) <= p.start',
    harm: 'After a reset, an act in the first quarter hour of the period counts twice.',
    tests: ['test/quota/reset-moment', 'test/quota'],
  },
  {
    name: 'first-reset-counts',
    file: 'src/quota/used.ts',
    find: 'order by q.token_hash, q.position desc',
    replace: 'order by q.token_hash, q.position',
    harm: 'The second reset of a key in a period gives back the wrong amount.',
    tests: ['test/quota/history', 'test/quota'],
  },
  {
    name: 'later-reset-in-the-past',
    file: 'src/quota/used.ts',
    find: `transaction\`q.position <= \${past.positions[0]!}\``,
    replace: 'transaction`true`',
    harm: 'A read of the past shows a quota without what a later reset took away.',
    tests: ['test/quota/history', 'test/quota'],
  },
  {
    name: 'reset-overlooks-act',
    file: 'src/bookkeeping/books.ts',
    find: `      if (cut !== null && cut.through[0]! < before) return 'behind'\n`,
    replace: '',
    harm: 'A reset at the same moment as an opening balance leaves that in the quota.',
    tests: ['test/quota/reset-moment', 'test/quota'],
  },
  {
    name: 'reset-gives-back-its-moment',
    file: 'src/bookkeeping/quota-reset.ts',
    find: `q.reset_at >= \${recordedAt}::timestamptz`,
    replace: `q.reset_at > \${recordedAt}::timestamptz`,
    harm: 'A reversal of a flush of the microsecond of a reset gives its quota back twice.',
    tests: ['test/quota/reset-moment', 'test/quota'],
  },
  {
    name: 'reset-by-key-alone',
    file: 'src/bookkeeping/posted-act.ts',
    find: `        event.data.reason === posted.reason &&
        event.data.keys.hashes[0] === posted.tokenHash`,
    replace: '        event.data.reason === posted.reason',
    harm: 'A reset is answered as recorded, but another key was reset.',
    tests: ['test/quota/reset', 'test/quota'],
  },
  {
    name: 'limit-not-reached-by-equal',
    file: 'src/quota/exhausted.ts',
    find: `and \${used} >= k.quota_limit`,
    replace: `and \${used} > k.quota_limit`,
    harm: 'Gateways serve a key that has used exactly its quota, and keys with a quota of 0.',
    tests: ['test/quota/exhausted', 'test/quota'],
  },
  {
    name: 'list-outlives-period',
    file: 'src/quota/exhausted-list.ts',
    find: ' && !this.#isPeriodEnding()',
    replace: '',
    harm: 'Gateways turn a key away after its period has ended, until something is written.',
    tests: ['test/quota/exhausted', 'test/quota'],
  },
  {
    name: 'list-kept-without-streams',
    file: 'src/http/quota/streams.ts',
    find: `    this.#poll = null
    this.#published = null
`,
    replace: '    this.#poll = null\n',
    harm: 'A gateway that connects after all others have left gets no list.',
    tests: ['test/quota/exhausted', 'test/quota'],
  },
  {
    name: 'adopted-not-readable',
    file: 'sql/grants.sql',
    find: ', unknown_usage, unknown_taken',
    replace: ', unknown_usage',
    harm: 'No flush with an unknown key is folded, and every read is answered 503.',
    tests: ['test/log/immutable', 'test/bookkeeping'],
  },
  {
    name: 'registration-never-recovers',
    file: 'src/registration/registrar.ts',
    find: 'this.#turn = turn.catch(() => {})',
    replace: 'this.#turn = turn',
    harm: 'After one failure no key is registered until a restart, and flushes are refused.',
    tests: ['test/registration/lost-answer', 'test/registration'],
  },
  {
    name: 'registered-by-another',
    file: 'src/log/first-attempt.ts',
    find: '        and e.source = f.source\n',
    replace: '',
    harm: 'A flush whose key another gateway has used registers nothing, and counts nothing.',
    tests: ['test/registration/lost-answer', 'test/registration'],
  },
  {
    name: 'lost-registrations-count',
    file: 'src/registration/today.ts',
    find: `else e.payload_sha256 = decode(\${sha256}::text, 'hex')`,
    replace: 'else true',
    harm: 'After a failover, keys that the database has lost count for the limit of the day.',
    tests: ['test/registration/limit', 'test/registration'],
  },
  {
    name: 'midnight-of-yesterday',
    file: 'src/registration/today.ts',
    find: "and e.recorded_at >= t.day at time zone 'UTC'",
    replace: "and e.recorded_at > t.day at time zone 'UTC'",
    harm: 'Keys that were registered at midnight do not count for the limit of the day.',
    tests: ['test/registration/limit', 'test/registration'],
  },
  {
    name: 'retired-key-registered',
    file: 'src/registration/unknown.ts',
    find: ' && !retired.keys.has(tokenHash)',
    replace: '',
    harm: 'A flush brings a token key back that an admin has retired.',
    tests: ['test/registration/register', 'test/registration'],
  },
  {
    name: 'sessions-of-others-ended',
    file: 'src/platform/postgres/blocking-sessions.ts',
    find: `
        and starts_with(b.application_name, current_setting('application_name'))`,
    replace: '',
    harm: 'The service ends the session of a backup or of a person at psql.',
    tests: ['test/platform/postgres/blocking-sessions', 'test/cluster'],
  },
  {
    name: 'blocking-session-ended-at-once',
    file: 'src/platform/postgres/blocking-sessions.ts',
    find: `
        and b.state_change < clock_timestamp() - \${silenceMs}::integer * interval '1 ms'`,
    replace: '',
    harm: 'Instances end the transactions of others that merely take a moment.',
    tests: ['test/platform/postgres/blocking-sessions', 'test/cluster'],
  },
  {
    name: 'idle-sessions-ended',
    file: 'src/platform/postgres/blocking-sessions.ts',
    find: `
        and b.pid in (
          select unnest(pg_blocking_pids(w.pid))
          from pg_stat_activity w
          where w.wait_event_type = 'Lock'
        )`,
    replace: '',
    harm: 'Sessions for which nobody waits are ended because another one holds a lock.',
    tests: ['test/platform/postgres/blocking-sessions', 'test/cluster'],
  },
  {
    name: 'blocking-sessions-stay',
    file: 'src/cluster/instances.ts',
    find: '    await endBlockingSessions(this.#sql, this.options.address)\n',
    replace: '',
    harm: 'While an instance is cut off from the database, its shards are not folded.',
    tests: ['test/platform/postgres/blocking-sessions', 'test/cluster'],
  },
]
