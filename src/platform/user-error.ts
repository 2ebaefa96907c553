/** An error to show to a user: its message is printed without a stack, then the process exits. */
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
