import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

export type MariaDb = { url: string; run(statements: readonly string[]): Promise<void> } & {
  stop(): Promise<void>
}

/** Starts a MariaDB server with an empty database in a temporary folder. */
export async function startMariaDb(): Promise<MariaDb> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-mariadb-'))
  const port = await freePort()
  const user = `--user=${process.env.USER ?? 'root'}`
  const datadir = `--datadir=${folder}/data`
  const spawn = (...command: string[]) => Bun.spawn(command, { stdout: 'ignore', stderr: 'ignore' })
  const install = ['--no-defaults', user, datadir, '--auth-root-authentication-method=normal']
  await spawn('mariadb-install-db', ...install).exited
  const where = [`--socket=${folder}/socket`, `--port=${port}`, '--bind-address=127.0.0.1']
  const server = spawn('mariadbd', '--no-defaults', user, datadir, ...where)
  const stop = async () => {
    server.kill()
    await server.exited
    await rm(folder, { recursive: true, force: true })
  }
  const run = async (statements: readonly string[], name = 'old') => {
    const sql = new SQL(`mysql://root@127.0.0.1:${port}/${name}`, { max: 1 })
    try {
      for (const statement of statements) await sql.unsafe(statement)
    } finally {
      await sql.end()
    }
  }
  const create = () => run(['create database old character set utf8mb4'], 'mysql')
  try {
    await until(() =>
      create().then(
        () => true,
        () => false,
      ),
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { url: `mysql://root@127.0.0.1:${port}/old`, run, stop }
}
