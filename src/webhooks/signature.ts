import { createHmac, randomBytes } from 'node:crypto'

const PREFIX = 'whsec_'

/** Generates a secret of Standard Webhooks: 256 random bits. */
export const makeSecret = () => PREFIX + randomBytes(32).toString('base64')

/**
 * Returns the header `webhook-signature` of Standard Webhooks: a signature for each secret. The
 * timestamp is in Unix seconds.
 */
export const sign = (
  secrets: readonly string[],
  { id, timestamp, body }: { id: string; timestamp: number; body: string },
): string =>
  secrets
    .map((secret) => {
      const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
      const hmac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`)
      return `v1,${hmac.digest('base64')}`
    })
    .join(' ')
