/**
 * The servers that a PostgreSQL URL names (`postgres://user:password@host-1:5432,host-2/database`),
 * a URL each; null where it can't be read.
 */
export function splitServers(text: string): string[] | null {
  const match = /^(postgres(?:ql)?:\/\/)([^/?#]*)(.*)$/i.exec(text)
  if (!match) return null
  const [, scheme, authority, rest] = match
  const at = authority!.lastIndexOf('@') + 1
  const servers = authority!
    .slice(at)
    .split(',')
    .map((host) => `${scheme}${authority!.slice(0, at)}${host}${rest}`)
  return servers.every(isDatabaseUrl) ? servers : null
}

/** True for the URL of one PostgreSQL server. */
export function isDatabaseUrl(text: string): boolean {
  try {
    const { protocol, username, password } = new URL(text)
    decodeURIComponent(username)
    decodeURIComponent(password)
    return protocol === 'postgres:' || protocol === 'postgresql:'
  } catch {
    return false
  }
}
