import { hash, X509Certificate } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import { Refusal } from './error.ts'

/** The parameters of a SCRAM exchange, which proves knowledge of the password (RFC 5802). */
export type Scram = {
  mechanism: string
  /** The GS2 header that begins the first message and announces the channel binding. */
  header: string
  /** The channel binding data; empty without channel binding. */
  binding: Buffer
  password: string
}

const PLAIN = 'SCRAM-SHA-256'
const BOUND = 'SCRAM-SHA-256-PLUS'

/**
 * Chooses how to prove the password, with channel binding if both sides support it: that detects a
 * man in the middle, whose certificate differs. Throws Refusal if the URL requires more than the
 * server offers.
 */
export function chooseScram(
  mechanisms: readonly string[],
  channelBinding: string,
  socket: unknown,
  password: string,
): Scram {
  const made = { binding: Buffer.alloc(0), password: prepare(password) }
  const secured = channelBinding !== 'disable' && socket instanceof TLSSocket ? socket : null
  const digest = secured === null ? null : hashCertificate(secured.getPeerCertificate().raw)
  if (digest !== null && mechanisms.includes(BOUND)) {
    return { ...made, mechanism: BOUND, header: 'p=tls-server-end-point,,', binding: digest }
  }
  if (channelBinding === 'require') {
    const why =
      secured === null
        ? 'without TLS'
        : digest === null
          ? 'with this kind of certificate'
          : 'because the server does not offer it'
    throw new Refusal(`channel_binding=require is not possible ${why}`, 'AUTHENTICATION_REFUSED')
  }
  if (!mechanisms.includes(PLAIN)) {
    throw new Refusal(
      'the server offers no known mechanism to prove the password',
      'AUTHENTICATION_REFUSED',
    )
  }
  // `y` means that the client supports channel binding but saw no offer. A server that did offer it
  // thus detects that its offer was removed on the way.
  return { ...made, mechanism: PLAIN, header: digest === null ? 'n,,' : 'y,,' }
}

/**
 * Returns the hash that identifies a certificate (RFC 5929): by the hash function of its signature,
 * or by SHA-256 if that is weaker. Returns null if the signature names no hash function.
 */
export function hashCertificate(raw: Buffer | undefined): Buffer | null {
  if (!raw) return null
  // sha256WithRSAEncryption, ecdsa-with-SHA384, ED25519
  const { signatureAlgorithm = '' } = new X509Certificate(raw) as { signatureAlgorithm?: string }
  const name = /md5|sha-?(1|224|256|384|512)(?!\d)/i.exec(signatureAlgorithm)
  if (!name) return null
  const bits = name[1] === undefined || name[1] === '1' ? '256' : name[1]
  return hash(`sha${bits}`, raw, 'buffer')
}

const IGNORED = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g

/** Normalizes a password before it is hashed (SASLprep, RFC 4013). */
function prepare(password: string): string {
  return password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replace(IGNORED, '')
    .normalize('NFKC')
}
