import { UserError } from '../platform/user-error.ts'
import { connectToService } from './client.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = 'Usage: tallybook health [http://host:port]'

/**
 * Checks that a running service can take a flush, for environments that check by a command. Throws
 * UserError if it can't.
 */
export async function health(args: string[]): Promise<void> {
  if (args.length > 1) throw new UserError(USAGE)
  const { send } = await connectToService([], args[0])
  const { status } = await send<{ status: string }>(null, 'GET', '/health/ready')
  console.log(status)
}
