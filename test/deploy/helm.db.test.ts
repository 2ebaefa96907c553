import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { $ } from 'bun'
import { ROOT } from '../../deploy/build/embedded.ts'
import { formatSigningKey, makeSigningKey } from '../../src/proofs/merkle/key.ts'
import { VARIABLES } from '../../src/service/variables.ts'
import { outcomeOf } from '../support/archive.ts'
import { hasPeer } from '../support/extended.ts'
import { readUrl, runTallybook } from '../support/process.ts'
import { createDatabase, type TestDatabase, urlOf } from '../support/server.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'

// The chart for Kubernetes, as `helm template` prints it. There is no cluster: the migration and two
// instances run as processes, with the environment and the secrets that the chart gives them.

const CHART = join(ROOT, 'deploy/helm/tallybook')
const SECRET = {
  'dp-token': TOKENS.dp,
  'admin-token': TOKENS.admin,
  'auditor-token': TOKENS.auditor,
  'signing-keys': formatSigningKey(makeSigningKey('stats.example.com')),
}

type Variable = { name: string; value?: string; valueFrom?: { secretKeyRef: SecretKey } }
type SecretKey = { key: string; optional?: boolean }
type PodSpec = { containers: { args: string[]; env: Variable[] }[] }
type Manifest = {
  kind: string
  metadata: { name: string }
  spec: { template: { spec: PodSpec } } & Record<string, unknown>
}

/** Renders the chart; a value may be JSON. Throws with the errors of helm. */
async function render(...values: string[]): Promise<Manifest[]> {
  const sets = values.flatMap((value) => [value.endsWith('}') ? '--set-json' : '--set', value])
  const command = $`helm template stats ${CHART} --kube-version 1.33.0 ${sets}`.quiet().nothrow()
  const { exitCode, stdout, stderr } = await command
  if (exitCode !== 0) throw new Error(stderr.toString())
  const text = stdout.toString().split(/^---$/m)
  return text.map((part) => Bun.YAML.parse(part) as Manifest).filter((part) => part !== null)
}

const podOf = (manifests: Manifest[], kind: string) =>
  manifests.find((manifest) => manifest.kind === kind)!.spec.template.spec.containers[0]!

const SHARED = ['existingSecret=shared', 'replicas=2', 'shards=2']

describe.skipIf(!hasPeer('helm'))('the chart', () => {
  test('installs one instance on its own database, or several that share a secret', async () => {
    const kinds = (manifests: Manifest[]) => manifests.map(({ kind }) => kind).sort()
    const alone = ['Service', 'Service', 'StatefulSet']
    expect(kinds(await render())).toEqual(alone)
    const monitoring = ['serviceMonitor', 'prometheusRule', 'dashboard']
    const all = await render(
      ...[...SHARED, 'ingress.enabled=true', 'tlsSecret=certificate'],
      ...monitoring.map((name) => `monitoring.${name}=true`),
    )
    const more = ['ConfigMap', 'Ingress', 'Job', 'PodDisruptionBudget', 'PrometheusRule']
    expect(kinds(all)).toEqual([...alone, ...more, 'ServiceMonitor'].sort())
    for (const kind of ['StatefulSet', 'Job']) {
      const names = podOf(all, kind).env.map(({ name }) => name)
      expect(names.filter((name) => !(name in VARIABLES))).toEqual([])
    }
    expect(podOf(all, 'StatefulSet').env.map(({ name }) => name)).toContain('TALLYBOOK_TLS_CERT')
  })

  test('passes whole numbers on as they are, as those of a values file', async () => {
    const env = { TALLYBOOK_REGISTER_PER_DAY: 1_000_000, OTEL_TRACES_SAMPLER_ARG: 0.01 }
    const pod = podOf(await render(`env=${JSON.stringify(env)}`), 'StatefulSet')
    for (const [name, value] of Object.entries(env)) {
      expect(pod.env).toContainEqual({ name, value: String(value) })
    }
  })

  test.each([
    ['replicas=2', 'existingSecret'],
    ['env.DATABASE_URL=postgres://x', 'secret'],
    ['env.TALLYBOOK_SHARDS=2', 'set by the chart'],
    ['shards=0', 'shards'],
    ['replica=2', 'replica'],
  ])('refuses %s', async (value, message) => {
    expect(await render(value).catch(String)).toContain(message)
  })

  describe('with a database', () => {
    let folder: string
    let database: TestDatabase
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tallybook-helm-'))
      database = await createDatabase({ empty: true })
      await writeFile(join(folder, 'signing-keys'), SECRET['signing-keys'])
    })
    afterAll(async () => {
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    })

    /** The environment of a pod whose folders are elsewhere. Throws if the secret lacks a key. */
    function environmentOf({ env }: PodSpec['containers'][0]): Record<string, string> {
      const secret: Record<string, string> = { ...SECRET, 'database-url': urlOf(database.address) }
      const set: [string, string][] = []
      for (const { name, value, valueFrom } of env) {
        const key = valueFrom?.secretKeyRef
        const text = key === undefined ? value : secret[key.key]
        if (text !== undefined) set.push([name, text.replace('/secrets/', `${folder}/`)])
        else if (key?.optional !== true) throw new Error(`The secret has no ${key?.key}.`)
      }
      const local = { TALLYBOOK_HOST: '127.0.0.1', TALLYBOOK_PORT: '0' }
      return { ...Object.fromEntries(set), ...local }
    }

    const run = (pod: PodSpec['containers'][0], dataDir: string) =>
      runTallybook(pod.args, dataDir, {
        ...environmentOf(pod),
        TALLYBOOK_DATA_DIR: join(folder, dataDir),
      })

    test('migrates before the instances start, which sign the log with one key', async () => {
      const manifests = await render(...SHARED)
      const migration = await outcomeOf(run(podOf(manifests, 'Job'), 'migration'))
      expect(migration).toMatchObject({ code: 0, stderr: '' })
      const pod = podOf(manifests, 'StatefulSet')
      const instances = ['0', '1'].map((name) => run(pod, name))
      const urls = await Promise.all(instances.map(readUrl))
      const headers = { authorization: `Bearer ${TOKENS.auditor}` }
      const keys = urls.map(async (url) =>
        (await fetch(`${url}/audit/log/keys`, { headers })).text(),
      )
      const [first, second] = await Promise.all(keys)
      expect(first).toStartWith('stats.example.com/audit/log/0+')
      expect(second).toBe(first!)
      const posted = await fetch(`${urls[1]}/internal/apikey-stats/flush`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKENS.dp}` },
        body: JSON.stringify({ keys: [{ api_key_id: 1, requests: 1 }] }),
      })
      const [shard, position] = posted.headers.get('tallybook-position')!.split('/')
      await until(async () => {
        const path = `/audit/log/${shard}/checkpoint`
        const note = await (await fetch(urls[0] + path, { headers })).text()
        return Number(note.split('\n')[1]) > Number(position)
      })
      for (const instance of instances) instance.kill('SIGTERM')
      expect(await Promise.all(instances.map(({ exited }) => exited))).toEqual([0, 0])
    })
  })
})
