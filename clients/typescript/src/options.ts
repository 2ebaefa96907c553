import { hostname } from 'node:os'
import type { Target } from './http.ts'
import { BACKOFF, type Backoff } from './outcome.ts'
import type { Limits, Reason } from './spool.ts'

export type ClientOptions = Target & {
  /** A directory of this process alone, on a disk that outlives it. It is created if absent. */
  spool: string
  /** The name of this proxy: 1 to 64 of `[A-Za-z0-9._-]`. Default: the host name. */
  instance?: string
  /** How often counts are sealed, ± 20 %. Default: 5,000. */
  sealIntervalMs?: number
  /** The number of accumulators at which counts are sealed at once. Default: 5,000. */
  sealAt?: number
  /** Flushes are merged above these. Default: 1,000 flushes and 64 MiB. */
  spoolLimits?: Limits
  /** How long an attempt may take. Default: 30,000. */
  timeoutMs?: number
  /** The delays after failures. Default: from 500 to 30,000. */
  backoff?: Backoff
  /** A second service that gets each flush once; its failures never matter. */
  shadow?: Target
  /** True to follow the exhausted quotas for `isExhausted`. Default: false. */
  followExhausted?: boolean
  /**
   * Called before anything is sent, with the notes of batches that an earlier client left. The
   * client does not open if it throws.
   */
  onNotes?: (notes: readonly string[]) => void | Promise<void>
  /** Called after a failure that the client deals with by itself: an attempt, or the disk. */
  onError?: (error: unknown) => void
  /** Called when a flush was moved to `rejected`. */
  onRejected?: (rejected: { file: string } & Reason) => void
  /** Called with the reason when the service refuses this client, and with null afterwards. */
  onPause?: (reason: Reason | null) => void
}

export type Settings = Required<Omit<ClientOptions, 'shadow'>> & { shadow: Target | null }

const INSTANCE = /^[A-Za-z0-9._-]{1,64}$/

/** Adds the defaults. Throws if an option can't work. */
export function readOptions(options: ClientOptions): Settings {
  const instance =
    options.instance ??
    (hostname()
      .replace(/[^A-Za-z0-9._-]/g, '-')
      .slice(0, 64) ||
      'proxy')
  if (!INSTANCE.test(instance)) throw new TypeError('instance has 1 to 64 of [A-Za-z0-9._-].')
  if (!URL.canParse(options.url)) throw new TypeError('url is not a URL.')
  return {
    url: options.url,
    token: options.token,
    spool: options.spool,
    instance,
    sealIntervalMs: options.sealIntervalMs ?? 5_000,
    sealAt: options.sealAt ?? 5_000,
    spoolLimits: options.spoolLimits ?? { flushes: 1_000, bytes: 64 * 1024 * 1024 },
    timeoutMs: options.timeoutMs ?? 30_000,
    backoff: options.backoff ?? BACKOFF,
    shadow: options.shadow ?? null,
    followExhausted: options.followExhausted ?? false,
    onNotes: options.onNotes ?? (() => {}),
    onError: harmless(options.onError),
    onRejected: harmless(options.onRejected),
    onPause: harmless(options.onPause),
  }
}

/** A callback that throws must not stop the client. */
function harmless<Argument>(callback: ((argument: Argument) => void) | undefined) {
  return (argument: Argument): void => {
    try {
      callback?.(argument)
    } catch {}
  }
}
