import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { openS3 } from '../../src/segment-files/stores/s3.ts'
import { isExtended, LEFT_TO_CI } from '../support/extended.ts'
import {
  BUCKET,
  CREDENTIALS,
  type S3Server,
  startMoto,
  startSeaweed,
  whyNone,
} from './s3-servers.ts'
import { inPieces, makeBytes, testStore } from './store-contract.ts'

// Servers that others have made keep the promises of a store.

const PATIENT = { request: 30_000, part: 60_000, retries: [100, 1_000] }

for (const [program, start] of [
  ['weed', startSeaweed],
  ['moto', startMoto],
] as const) {
  const reason = isExtended ? whyNone(program) : `${program} ${LEFT_TO_CI}`
  if (reason !== null) console.log(`skipped: stores of segments by ${program} (${reason})`)
  describe.skipIf(reason !== null)(program, () => {
    let server: S3Server | null = null
    beforeAll(async () => {
      if (reason === null) server = await start()
    }, 120_000)
    afterAll(() => server?.stop())

    const open = (secret = CREDENTIALS.secretAccessKey, timeouts = PATIENT) => {
      const client = { ...CREDENTIALS, endpoint: server!.url, region: 'us-east-1' }
      const options = { bucket: BUCKET, prefix: 'logs/a/', timeouts }
      return openS3({ ...options, client: { ...client, secretAccessKey: secret } })
    }
    testStore(`a bucket of ${program}`, open)

    // Moto checks no signature.
    test.skipIf(program === 'moto')('another secret is denied', async () => {
      const store = open('another')
      const answers = [
        ...[await store.size('a'), await store.read('a', { offset: 0, length: 1 })],
        ...[await store.put('a', inPieces(makeBytes(5))), await store.list()],
        await store.remove('a'),
      ]
      expect(answers.map(({ kind }) => kind)).toEqual(Array(5).fill('denied'))
    })

    test('a server that is killed during a put is unavailable', async () => {
      const content = (async function* () {
        for (let piece = 0; ; piece++) {
          if (piece === 20) await server!.stop()
          yield makeBytes(1_000_000)
        }
      })()
      const store = open(undefined, { request: 2_000, part: 10_000, retries: [] })
      expect(await store.put('endless', content)).toMatchObject({ kind: 'unavailable' })
      expect(await store.size('endless')).toMatchObject({ kind: 'unavailable' })
    })
  })
}
