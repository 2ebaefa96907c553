import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { $ } from 'bun'
import { version } from '../../package.json'
import { ROOT } from './embedded.ts'
import type { Target } from './targets.ts'

const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' }

/**
 * Packs an executable and the archive of its PostgreSQL for Debian and Ubuntu, with `dpkg-deb`.
 * Returns the path of the package.
 */
export async function packDeb(
  { cpu }: NonNullable<Target['postgres']>,
  files: { executable: string; archive: string },
  folder: string,
): Promise<string> {
  const architecture = ARCHITECTURES[cpu]
  const tree = await mkdtemp(join(folder, 'deb-'))
  const add = async (from: string, to: string, mode = 0o644) => {
    await mkdir(dirname(join(tree, to)), { recursive: true })
    await copyFile(from, join(tree, to))
    await chmod(join(tree, to), mode)
  }
  const own = (path: string) => join(ROOT, path)
  try {
    await add(files.executable, 'usr/bin/tallybook', 0o755)
    await add(files.archive, `usr/lib/tallybook/${files.archive.split('/').at(-1)}`)
    await add(own('deploy/systemd/tallybook.service'), 'lib/systemd/system/tallybook.service')
    await add(own('deploy/systemd/tallybook.sysusers'), 'usr/lib/sysusers.d/tallybook.conf')
    await add(own('deploy/systemd/tallybook.env'), 'etc/tallybook/tallybook.env', 0o640)
    await add(own('README.md'), 'usr/share/doc/tallybook/README.md')
    await add(own('LICENSE'), 'usr/share/doc/tallybook/copyright')
    for (const script of ['postinst', 'prerm', 'postrm']) {
      await add(own(`deploy/deb/${script}`), `DEBIAN/${script}`, 0o755)
    }
    await writeFile(join(tree, 'DEBIAN/conffiles'), '/etc/tallybook/tallybook.env\n')
    await writeFile(join(tree, 'DEBIAN/control'), control(architecture))
    await chmod(tree, 0o755)
    const path = join(folder, `tallybook_${version}_${architecture}.deb`)
    await $`dpkg-deb --root-owner-group --build ${tree} ${path}`.quiet()
    return path
  } finally {
    await rm(tree, { recursive: true })
  }
}

const control = (architecture: string) => `Package: tallybook
Version: ${version}
Architecture: ${architecture}
Maintainer: The Tallybook maintainers <maintainers@tallybook.invalid>
Section: net
Priority: optional
Depends: libc6 (>= 2.28)
Suggests: postgresql
Description: event-sourced usage statistics for API gateways
 Data-plane proxies post the usage that they have counted. The service appends
 it to an immutable, signed log and derives every total from that.
`
