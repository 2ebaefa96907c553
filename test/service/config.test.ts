import { expect, test } from 'bun:test'
import { readConfig } from '../../src/service/config.ts'

const refusal = (env: Record<string, string>) => {
  try {
    readConfig(env)
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

test('an empty environment gives the defaults of the contract', () => {
  const { host, port, dataDir, databaseUrl, shards, bodyLimitBytes } = readConfig({})
  expect({ host, port, dataDir, databaseUrl, shards, bodyLimitBytes }).toEqual({
    host: '127.0.0.1',
    port: 3000,
    dataDir: '.tallybook',
    databaseUrl: null,
    shards: 1,
    bodyLimitBytes: 16 * 1024 * 1024,
  })
})

test('an invalid DATABASE_URL is refused without being shown', () => {
  const broken = [
    'postgres://app:s3cr#t/pw@db.example/x',
    'postgres://app:s3cr%zz@db.example/x',
    'postgres://app:s3cr@db.example:port/x',
    'mysql://app:s3cr@db.example/x',
  ]
  for (const url of broken) {
    expect(refusal({ DATABASE_URL: url })).toStartWith('DATABASE_URL ')
    expect(refusal({ DATABASE_URL: url })).not.toContain('s3cr')
  }
  expect(refusal({ DATABASE_URL: 'postgres://app:s3cr%23t@db.example:5433/x' })).toBe('')
})

test('a token that is short or not visible ASCII is refused without being shown', () => {
  for (const token of ['short', 'with a blank in it', 'ümlauts-and-more']) {
    expect(refusal({ TALLYBOOK_DP_TOKEN: token })).toStartWith('TALLYBOOK_DP_TOKEN ')
    expect(refusal({ TALLYBOOK_DP_TOKEN: token })).not.toContain(token)
  }
})

test('TALLYBOOK_VERIFY_AT is a time of day, or unset', () => {
  expect(readConfig({}).verifyAt).toBeNull()
  expect(readConfig({ TALLYBOOK_VERIFY_AT: '03:30' }).verifyAt).toEqual({ hour: 3, minute: 30 })
  for (const time of ['24:00', '3:30', '03:60', '0330', 'night', '03:30Z']) {
    expect(refusal({ TALLYBOOK_VERIFY_AT: time })).toStartWith('TALLYBOOK_VERIFY_AT ')
  }
})

test('TALLYBOOK_ATTEST_MINUTES is 60 by default, and 0 attests on demand only', () => {
  expect(readConfig({}).attestMinutes).toBe(60)
  expect(readConfig({ TALLYBOOK_ATTEST_MINUTES: '0' }).attestMinutes).toBe(0)
  expect(readConfig({ TALLYBOOK_ATTEST_MINUTES: '10080' }).attestMinutes).toBe(10_080)
  for (const minutes of ['-1', '1.5', '10081', 'hourly']) {
    expect(refusal({ TALLYBOOK_ATTEST_MINUTES: minutes })).toStartWith('TALLYBOOK_ATTEST_MINUTES ')
  }
})

test('DATABASE_READ_URL lists replicas, needs DATABASE_URL, and gives one URL each', () => {
  const DATABASE_URL = 'postgres://app@db.example/x'
  expect(readConfig({ DATABASE_URL }).replicaUrls).toEqual([])
  const many = 'postgres://app:s3cr%23t@one.example:5433,two.example,[::1]:5434/x?sslmode=require'
  expect(readConfig({ DATABASE_URL, DATABASE_READ_URL: many }).replicaUrls).toEqual([
    'postgres://app:s3cr%23t@one.example:5433/x?sslmode=require',
    'postgres://app:s3cr%23t@two.example/x?sslmode=require',
    'postgres://app:s3cr%23t@[::1]:5434/x?sslmode=require',
  ])
  expect(refusal({ DATABASE_READ_URL: many })).toStartWith('DATABASE_READ_URL ')
  expect(refusal({ DATABASE_READ_URL: many })).not.toContain('s3cr')
})

test('an invalid DATABASE_READ_URL is refused without being shown', () => {
  const broken = [
    'postgres://app:s3cr#t/pw@db.example/x',
    'postgres://app:s3cr%zz@db.example/x',
    'postgres://app:s3cr@db.example:5432,other.example:port/x',
    'mysql://app:s3cr@db.example/x',
  ]
  for (const DATABASE_READ_URL of broken) {
    const sentence = refusal({ DATABASE_URL: 'postgres://app@db.example/x', DATABASE_READ_URL })
    expect(sentence).toStartWith('DATABASE_READ_URL ')
    expect(sentence).not.toContain('s3cr')
  }
})

test.each<Record<string, string>>([
  { DATABASE_URL: 'mysql://app:s3cr@db.example/x' },
  { DATABASE_READ_URL: 'postgres://app@db.example/x' },
  { DATABASE_URL: 'postgres://app@db.example/x', DATABASE_READ_URL: 'mysql://app@db.example/x' },
  { TALLYBOOK_DP_TOKEN: 'short' },
  { TALLYBOOK_VERIFY_AT: 'night' },
  { TALLYBOOK_ATTEST_MINUTES: 'hourly' },
  { TALLYBOOK_SHARDS: '0' },
])('%j is refused with what it must be', (env) => {
  expect(refusal(env)).toMatchSnapshot()
})

test('a base path has plain segments, with or without a trailing slash, or is empty', () => {
  expect(readConfig({}).basePath).toBe('')
  for (const [given, expected] of [
    ['/', ''],
    ['/tallybook', '/tallybook'],
    ['/tallybook/', '/tallybook'],
    ['/stats/tally-book_2.0/', '/stats/tally-book_2.0'],
  ] as const) {
    expect(readConfig({ TALLYBOOK_BASE_PATH: given }).basePath).toBe(expected)
  }
  for (const given of [
    'tallybook',
    '//x',
    '/a//b',
    '/a/../b',
    '/.',
    '/a b',
    '/a%2fb',
    '/a?b',
    '/:a',
    '/*',
  ]) {
    expect(() => readConfig({ TALLYBOOK_BASE_PATH: given })).toThrow('TALLYBOOK_BASE_PATH')
  }
})

test('usage is kept by quarter hours for two months at least, and forever by default', () => {
  expect(readConfig({}).usageQuartersDays).toBeNull()
  expect(readConfig({ TALLYBOOK_USAGE_QUARTERS_DAYS: '62' }).usageQuartersDays).toBe(62)
  for (const days of ['0', '61', '3651', '90d', '-90']) {
    const read = () => readConfig({ TALLYBOOK_USAGE_QUARTERS_DAYS: days })
    expect(read).toThrow('TALLYBOOK_USAGE_QUARTERS_DAYS')
  }
})

test('usage is kept by days for three months at least, by default and without days forever', () => {
  const read =
    (months: string, days = '90') =>
    () =>
      readConfig({ TALLYBOOK_USAGE_DAYS_MONTHS: months, TALLYBOOK_USAGE_QUARTERS_DAYS: days })
  expect(read('')().usageDaysMonths).toBeNull()
  expect(read('3')().usageDaysMonths).toBe(3)
  for (const months of ['0', '2', '121', '24m']) {
    expect(read(months)).toThrow('TALLYBOOK_USAGE_DAYS_MONTHS must be')
  }
  expect(read('24', '')).toThrow('TALLYBOOK_USAGE_DAYS_MONTHS needs TALLYBOOK_USAGE_QUARTERS_DAYS')
})

test('unknown keys are registered only with TALLYBOOK_UNKNOWN_KEYS=register, 10,000 a day', () => {
  expect(readConfig({}).registerPerDay).toBeNull()
  expect(readConfig({ TALLYBOOK_UNKNOWN_KEYS: 'ignore' }).registerPerDay).toBeNull()
  const on = { TALLYBOOK_UNKNOWN_KEYS: 'register' }
  expect(readConfig(on).registerPerDay).toBe(10_000)
  expect(readConfig({ ...on, TALLYBOOK_REGISTER_PER_DAY: '7' }).registerPerDay).toBe(7)
  expect(refusal({ TALLYBOOK_UNKNOWN_KEYS: 'Register' })).toStartWith('TALLYBOOK_UNKNOWN_KEYS ')
  for (const limit of ['0', '-1', '1000001', 'all']) {
    const message = refusal({ ...on, TALLYBOOK_REGISTER_PER_DAY: limit })
    expect(message).toStartWith('TALLYBOOK_REGISTER_PER_DAY ')
  }
})
