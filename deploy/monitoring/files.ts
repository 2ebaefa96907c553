import { ALERTS } from './alerts.ts'
import { type Panel, ROWS } from './panels.ts'

/** Renders rules.yaml, the alert rules for Prometheus. */
export function renderRules(): string {
  const rules = ALERTS.map(({ name, expr, for: duration, severity, summary, action }) => ({
    ...{ alert: name, expr, for: duration },
    labels: { severity },
    annotations: { summary, description: withoutLinks(action) },
  }))
  const head = '# Written by `bun run reference` from alerts.ts.\n'
  return `${head}${Bun.YAML.stringify({ groups: [{ name: 'tallybook', rules }] }, null, 2)}\n`
}

/** Renders `[text](target)` as the text alone. */
const withoutLinks = (markdown: string) => markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')

const WIDTH = 24
const HEIGHT = 8
/** Panels next to each other. */
const COLUMNS = 3

/** Renders dashboard.json, the dashboard for Grafana 10 or newer. */
export function renderDashboard(): string {
  const panels: object[] = []
  let y = 0
  for (const row of ROWS) {
    panels.push({
      ...{ id: panels.length + 1, type: 'row', title: row.title, collapsed: false, panels: [] },
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
    })
    y += 1
    for (const [i, panel] of row.panels.entries()) {
      const w = WIDTH / COLUMNS
      const gridPos = { x: (i % COLUMNS) * w, y, w, h: HEIGHT }
      panels.push({ id: panels.length + 1, gridPos, ...toPanel(panel) })
      if (i % COLUMNS === COLUMNS - 1 || i === row.panels.length - 1) y += HEIGHT
    }
  }
  const dashboard = {
    ...{ uid: 'tallybook', title: 'Tallybook', tags: ['tallybook'], schemaVersion: 39 },
    ...{ editable: true, refresh: '30s', time: { from: 'now-6h', to: 'now' } },
    templating: { list: [DATA_SOURCE, INSTANCE] },
    panels,
  }
  return `${JSON.stringify(dashboard, null, 2)}\n`
}

/** The data source that the user has chosen. */
const SOURCE = { type: 'prometheus', uid: '$datasource' }

const toPanel = ({ title, unit, queries }: Panel) => ({
  ...{ type: 'timeseries', title, datasource: SOURCE },
  fieldConfig: { defaults: { unit, min: 0, custom: { showPoints: 'never' } }, overrides: [] },
  options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
  targets: queries.map(({ expr, legend }, i) => ({
    ...{ refId: String.fromCharCode(65 + i), datasource: SOURCE, expr, legendFormat: legend },
  })),
})

const DATA_SOURCE = {
  ...{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
}

const INSTANCE = {
  ...{ name: 'instance', label: 'Instance', type: 'query', datasource: SOURCE },
  query: { query: 'label_values(tallybook_database_up, instance)', refId: 'instance' },
  ...{ refresh: 2, includeAll: true, multi: true, allValue: '.*' },
  current: { text: 'All', value: '$__all' },
}
