import { expect, test } from 'bun:test'
import { whoseServer } from '../../../../src/platform/postgres/embedded/leftover.ts'
import { settingsFile } from '../../../../src/platform/postgres/embedded/settings.ts'
import { stopProcess } from '../../../../src/platform/postgres/embedded/stop.ts'

const cluster = '/srv/a b/.tallybook/postgres'
const ours = ['/lib/bin/postgres', '-D', cluster, '-c', `config_file=${cluster}/tallybook.conf`]

test('a server is ours only with our configuration file and on exactly this cluster', () => {
  expect(whoseServer(ours, null, cluster)).toBe('ours')
  expect(whoseServer(ours, null, '/srv/other/postgres')).toBe('unrelated')
  expect(whoseServer(['/lib/bin/postgres', '-D', cluster], null, cluster)).toBe('foreign')
  expect(whoseServer(['postgres', '-D', '.'], cluster, cluster)).toBe('foreign')
  expect(whoseServer(['vim', `${cluster}/tallybook.conf`], cluster, cluster)).toBe('unrelated')
  expect(whoseServer([], null, cluster)).toBe('unrelated')
})

test('shared_buffers is an eighth of the memory, between 32 and 256 MB', () => {
  const buffersOf = (memoryBytes: number) =>
    /shared_buffers = '(\d+MB)'/.exec(settingsFile({ memoryBytes, socketDirectory: '/s' }))?.[1]
  expect([2 ** 20, 2 ** 30, 2 ** 40].map(buffersOf)).toEqual(['32MB', '128MB', '256MB'])
})

test('a socket directory with quotes and commas in its path stays one directory', () => {
  const text = settingsFile({ memoryBytes: 2 ** 30, socketDirectory: `/o'brien, "x"` })
  expect(text).toContain(`unix_socket_directories = '"/o''brien, ""x"""'`)
})

test('a server that does not stop in fast mode is stopped in immediate mode', async () => {
  const signals: string[] = []
  await stopProcess({
    signal: (name) => signals.push(name),
    isGone: async () => signals.includes('SIGQUIT'),
    fastMs: 1,
  })
  expect(signals).toEqual(['SIGINT', 'SIGQUIT'])
})
