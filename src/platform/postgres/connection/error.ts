/** No session with the database could be opened. The message has the reason for each server. */
export class ConnectError extends Error {
  override name = 'ConnectError'

  constructor(
    message: string,
    /** The code of the last failure: a system error code, an SQLSTATE, or a code of Refusal. */
    readonly code: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

/** The client refuses the server, because it doesn't meet a requirement of the URL. */
export class Refusal extends Error {
  override name = 'Refusal'

  constructor(
    message: string,
    readonly code: 'TLS_REFUSED' | 'AUTHENTICATION_REFUSED' | 'SESSION_REFUSED',
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}
