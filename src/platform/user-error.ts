/** A sentence for the person who runs a command: printed without a stack, then the exit code. */
export class UserError extends Error {
  override name = 'UserError'

  constructor(
    message: string,
    readonly options: ErrorOptions & { exitCode?: number } = {},
  ) {
    super(message, options)
  }

  get exitCode(): number {
    return this.options.exitCode ?? 1
  }
}
