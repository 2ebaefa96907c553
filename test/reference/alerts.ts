import { ALERTS } from '../../deploy/monitoring/alerts.ts'
import { page, table } from './markdown.ts'

/** docs/reference/alerts.md. */
export const describeAlerts = (): string =>
  page('Alerts', 'deploy/monitoring/alerts.ts', [
    'The rules in [rules.yaml](../../deploy/monitoring/rules.yaml), the most urgent first. ' +
      '[Monitoring](../guides/monitoring.md) says how to load them. `critical`: counts are refused, ' +
      'or a number may be wrong.',
    table(
      ['alert', 'severity', 'after', 'meaning'],
      ALERTS.map(({ name, severity, for: duration, summary, action }) => [
        `\`${name}\``,
        severity,
        duration,
        `${summary.replaceAll(/\{\{ \$(?:labels\.)?(\w+) \}\}/g, '*$1*')} ${action}`,
      ]),
    ),
  ])
