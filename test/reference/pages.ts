import { join } from 'node:path'
import { renderDashboard, renderRules } from '../../deploy/monitoring/files.ts'
import { describeAlerts } from './alerts.ts'
import { describeCommands } from './cli.ts'
import { describeEnvironment } from './environment.ts'
import { describeHttp } from './http.ts'
import { describeMetrics } from './metrics.ts'

const ROOT = join(import.meta.dir, '../..')

/** The generated documents: path and text of each. */
export async function makePages(): Promise<{ path: string; text: string }[]> {
  const texts = {
    'docs/reference/http.md': await describeHttp(),
    'docs/reference/cli.md': await describeCommands(),
    'docs/reference/environment.md': describeEnvironment(),
    'docs/reference/metrics.md': await describeMetrics(),
    'docs/reference/alerts.md': describeAlerts(),
    'deploy/monitoring/rules.yaml': renderRules(),
    'deploy/monitoring/dashboard.json': renderDashboard(),
  }
  return Object.entries(texts).map(([name, text]) => ({ path: join(ROOT, name), text }))
}
