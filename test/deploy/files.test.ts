import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Glob } from 'bun'
import { ROOT } from '../../deploy/build/embedded.ts'
import { version } from '../../package.json'
import { VARIABLES } from '../../src/service/variables.ts'

const DEPLOY = join(ROOT, 'deploy')
const read = (path: string) => Bun.file(join(DEPLOY, path)).text()

test('files set only variables that exist', async () => {
  const unknown = []
  for (const path of new Glob(
    '{Containerfile,compose/*,systemd/*,helm/tallybook/*,helm/tallybook/templates/*}',
  ).scanSync(DEPLOY)) {
    const names = (await read(path)).match(/\bTALLYBOOK_\w+|\bDATABASE_\w+/g) ?? []
    unknown.push(...names.filter((name) => !(name in VARIABLES)))
  }
  expect(unknown).toEqual([])
})

test('the chart is of this version, and has the alerts and the dashboard', async () => {
  const chart = Bun.YAML.parse(await read('helm/tallybook/Chart.yaml'))
  expect(chart).toMatchObject({ version, appVersion: version })
  for (const name of ['rules.yaml', 'dashboard.json']) {
    expect(await read(`helm/tallybook/files/${name}`)).toBe(await read(`monitoring/${name}`))
  }
})

test('the image copies only what there is', async () => {
  const lines = (await read('Containerfile')).match(/^COPY (?!--).+/gm) ?? []
  const sources = lines.flatMap((line) => line.split(' ').slice(1, -1))
  expect(sources.length).toBeGreaterThan(5)
  expect(sources.filter((source) => !existsSync(join(ROOT, source)))).toEqual([])
})

test('compose.yaml mounts only what there is', async () => {
  const path = 'compose/compose.yaml'
  const { services } = Bun.YAML.parse(await read(path)) as {
    services: Record<string, { volumes: string[] }>
  }
  const mounts = Object.values(services)
    .flatMap(({ volumes }) => volumes.map((volume) => volume.split(':')[0]!))
    .filter((source) => source.startsWith('.'))
  expect(mounts.length).toBeGreaterThan(3)
  const folder = join(DEPLOY, dirname(path))
  expect(mounts.filter((mount) => !existsSync(join(folder, mount)))).toEqual([])
})
