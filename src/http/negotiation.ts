import Negotiator from 'negotiator'

/**
 * Returns the media type that the client prefers (RFC 9110): the one with the highest quality, then
 * the one that is named exactly, then the one named first. Returns the first of `types` if the
 * client accepts any type, or none of these.
 */
export function chooseType<Type extends string>(
  { headers }: Request,
  types: readonly [Type, ...Type[]],
): Type {
  // Each type has one form, so parameters other than the quality distinguish nothing.
  const accept = headers.get('accept')?.replace(/;\s*(?!q=)[^,;]*/gi, '')
  return (new Negotiator({ headers: { accept } }).mediaType([...types]) ?? types[0]) as Type
}

/** True if the client accepts gzip and doesn't prefer an uncompressed answer (RFC 9110). */
export function takesGzip({ headers }: Request): boolean {
  const accepted = { 'accept-encoding': headers.get('accept-encoding') ?? '' }
  return new Negotiator({ headers: accepted }).encoding(['gzip', 'identity']) === 'gzip'
}
