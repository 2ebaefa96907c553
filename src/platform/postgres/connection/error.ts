/** No session could be had with a database: why, for each server that was tried. */
export class ConnectError extends Error {
  override name = 'ConnectError'

  constructor(
    message: string,
    /** Of the last server: of the system, of PostgreSQL, or one of ours. */
    readonly code: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

/** What a server is refused for: it isn't what was asked for. */
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
