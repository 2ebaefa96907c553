/** A sentence for the person who runs the service: printed without a stack, then exit 1. */
export class StartError extends Error {
  override name = 'StartError'
}
