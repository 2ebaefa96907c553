import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { LLM_CONVENTIONS } from '../../../src/cli/llm-conventions.ts'
import { useCollectProcess } from '../../support/collect.ts'
import { hasPeer } from '../../support/extended.ts'
import { hasNginx, readSample } from '../../support/reverse-proxy.ts'
import { useServiceProcess } from '../../support/service-process.ts'
import { countedOf, sendAndKill, type Victim } from './kills.ts'
import { expectedOf, GUIDE, type LoggedNginx, startLoggedNginx } from './logged-nginx.ts'
import { makeSyslogNg } from './syslog-ng.ts'

// The access log of a real nginx, with the log format and the shipper of
// docs/guides/collect-senders.md, while the shipper, the collector and the service are killed.

const SOME = 100

describe.skipIf(!hasNginx || !hasPeer('syslog-ng'))('requests through nginx', () => {
  const service = useServiceProcess()
  const collector = useCollectProcess(service)
  let nginx: LoggedNginx
  let shipper: Victim

  beforeEach(async () => {
    await service.putCatalog(LLM_CONVENTIONS)
    await collector.start()
    nginx = await startLoggedNginx(collector.folder)
    const lines = (await readSample(GUIDE, 'syslog-ng'))
      .replace('/var/log/nginx/tallybook.log', nginx.log)
      .replace('http://collector:4318', collector.url)
      .replace('/var/lib/syslog-ng', join(collector.folder, 'buffer'))
    expect(lines).not.toContain('/var/')
    shipper = makeSyslogNg(collector.folder, lines)
    await shipper.start()
  })
  afterEach(async () => {
    await shipper.kill()
    await nginx.stop()
  })

  test('are counted once each, whatever is killed', async () => {
    const sent = await sendAndKill(SOME, nginx.send, [collector, service, shipper, collector])
    const [counted] = await countedOf(collector, service, [nginx.key], sent)
    expect(sent).toBe(10 * SOME)
    expect(counted).toMatchObject(expectedOf(sent))
  })
})
