import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/**
 * Names of Chromium on Debian, Ubuntu, Fedora and Arch. The headless shell is preferred: it renders
 * the same pages in half of the processor time.
 */
const EXECUTABLES = [
  'chromium-headless-shell',
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
]

const executablePath =
  process.env.TEST_CHROMIUM ??
  EXECUTABLES.map((name) => Bun.which(name)).find((path) => path !== null)

/** True if this machine has a browser. */
export const isInstalled = executablePath !== undefined && existsSync(executablePath)

/** Starts a browser; takes at most `timeout` ms. */
export const launchChromium = (timeout: number): Promise<Browser> =>
  chromium.launch({
    executablePath: executablePath!,
    timeout,
    args: [
      // Tests may run as root, and in containers.
      ...['--no-sandbox', '--disable-dev-shm-usage'],
      // The processor renders pages anyway; without a GPU process there is one process fewer.
      ...['--disable-gpu', '--in-process-gpu'],
      // All pages belong to one site, so no spare process is needed, and none for the network.
      ...['--disable-site-isolation-trials', '--enable-features=NetworkServiceInProcess2'],
      '--disable-lcd-text',
    ],
  })
