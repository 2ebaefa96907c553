import { hash, X509Certificate } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import { Refusal } from './error.ts'

/** How a user proves by SCRAM that it knows the password (RFC 5802). */
export type Scram = {
  mechanism: string
  /** What the first message begins with: whether the connection is bound to. */
  header: string
  /** What the connection is bound to; empty: to nothing. */
  binding: Buffer
  password: string
}

const PLAIN = 'SCRAM-SHA-256'
const BOUND = 'SCRAM-SHA-256-PLUS'

/**
 * Chooses how to prove the password, bound to the connection where both sides can: somebody between
 * them has another certificate, and is found out. Throws Refusal where the URL asks for more than
 * the server does.
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
          ? 'with a certificate of this kind'
          : 'as it does not offer it'
    throw new Refusal(
      `it can not be used with channel_binding=require, ${why}`,
      'AUTHENTICATION_REFUSED',
    )
  }
  if (!mechanisms.includes(PLAIN)) {
    throw new Refusal(
      'it asks for a way to prove a password that is unknown',
      'AUTHENTICATION_REFUSED',
    )
  }
  // With `y` a server that offers it knows that somebody has taken its offer away.
  return { ...made, mechanism: PLAIN, header: digest === null ? 'n,,' : 'y,,' }
}

/**
 * The hash that stands for a certificate (RFC 5929): by the hash of its signature, or by SHA-256
 * where that is weaker. Null where the signature doesn't tell its hash.
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

/** A password as it is hashed (RFC 4013): a space is a space, and what looks alike is alike. */
function prepare(password: string): string {
  return password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replace(IGNORED, '')
    .normalize('NFKC')
}
