import { VARIABLES } from '../../src/service/variables.ts'
import { page, table } from './markdown.ts'

/** docs/reference/environment.md. */
export function describeEnvironment(): string {
  const rows = Object.entries(VARIABLES).map(([name, { default: fallback, meaning }]) => [
    `\`${name}\``,
    meaning,
    fallback === null ? 'unset' : `\`${fallback}\``,
  ])
  return page('Environment variables', 'src/service/variables.ts', [
    'The service and its commands read these when they start. A value that cannot be used stops ' +
      'the start, with a message that names each such variable and the reason. An empty value ' +
      'counts as unset.',
    table(['variable', 'meaning', 'default'], rows),
    'More about [URLs and poolers](../guides/external-postgresql.md#urls), ' +
      '[the base path and trusted proxies](../guides/proxies.md), ' +
      '[replicas](../guides/replicas.md), [shards](../explanation/scaling.md#shards), ' +
      '[unknown tokens](../explanation/security.md#who-may-do-what) and ' +
      '[the name of the log](../explanation/transparency.md).',
  ])
}
