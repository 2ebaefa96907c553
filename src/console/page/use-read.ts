import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { Failure } from './api.ts'
import { heads } from './live.ts'

/** Interval (ms) at which a hidden page checks whether it is visible again. */
const HIDDEN_MS = 1_000
/** Maximum delay (ms) before a temporary failure is retried. */
const RETRY_MS = 3_000

/** The state of a read, and how to repeat it. */
export type Read<Value> = {
  /** The newest value; undefined: not read yet. */
  value: Value | undefined
  /** Why the last read failed; the previous value stays. */
  failure: Failure | null
  /** True during the first read of a key, not while its value is refreshed. */
  isLoading: boolean
  /** Reads what is there now: a read that already runs may be too old. Never rejects. */
  reload: () => Promise<void>
}

export type ReadOptions = {
  /** Minimum interval (ms) between reads while the log grows; null: read once. */
  everyMs?: number | null
  /** True if the value stays while another key is read. */
  keeps?: boolean
  /** True if it is read again even if the log does not grow. */
  always?: boolean
}

/**
 * Reads when `key` changes, again when the log has grown, and after a temporary failure. One read
 * runs at a time; a newer key abandons it and aborts `signal`.
 */
export function useRead<Value>(
  key: string,
  load: (signal: AbortSignal) => Promise<Value>,
  { everyMs = 1_000, keeps = false, always = false }: ReadOptions = {},
): Read<Value> {
  const state = useSignal<{ key: string; value: Value | undefined; failure: Failure | null }>({
    ...{ key, value: undefined, failure: null },
  })
  const loading = useSignal(true)
  const newest = useRef(load)
  newest.current = load
  const interval = useRef(everyMs)
  interval.current = everyMs
  const run = useRef<() => Promise<void>>(async () => {})

  useEffect(() => {
    const controller = new AbortController()
    let running: Promise<void> | null = null
    let isStale = false
    let isTemporary = false
    let readAt = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = () => {
      clearTimeout(timer)
      running ??= readOnce().finally(() => {
        running = null
      })
      return running
    }
    const reload = async () => {
      await running
      if (!controller.signal.aborted) await read()
    }
    const readOnce = async () => {
      isStale = false
      readAt = performance.now()
      try {
        const value = await newest.current(controller.signal)
        isTemporary = false
        if (!controller.signal.aborted) state.value = { key, value, failure: null }
      } catch (error) {
        const failure = Failure.from(error)
        isTemporary = failure.isTemporary
        if (!controller.signal.aborted) state.value = { ...state.peek(), failure }
      }
      if (controller.signal.aborted) return
      loading.value = false
      if (isTemporary || ((isStale || always) && interval.current !== null)) readSoon()
    }
    const readSoon = () => {
      clearTimeout(timer)
      const everyMs = isTemporary
        ? Math.min(interval.current ?? RETRY_MS, RETRY_MS)
        : (interval.current ?? 0)
      const dueMs = readAt + everyMs - performance.now()
      const delayMs = Math.max(dueMs, document.hidden ? HIDDEN_MS : 0)
      // A hidden page reads later.
      timer = setTimeout(() => {
        if (document.hidden) readSoon()
        else if (running !== null) isStale = true
        else if (isTemporary || interval.current !== null) void read()
      }, delayMs)
    }
    run.current = reload
    loading.value = true
    if (!keeps) state.value = { key, value: undefined, failure: null }
    void read()
    const stop = heads.subscribe((positions) => {
      if (positions !== null && interval.current !== null && readAt > 0) readSoon()
    })
    return () => {
      controller.abort()
      clearTimeout(timer)
      stop()
    }
  }, [key])

  // Resuming after a pause shows what is new; pausing does not.
  const isLive = everyMs !== null
  const wasLive = useRef(isLive)
  useEffect(() => {
    if (isLive && !wasLive.current) void run.current()
    wasLive.current = isLive
  }, [isLive])

  const { value, failure, key: readKey } = state.value
  const isOther = readKey !== key && !keeps
  return {
    value: isOther ? undefined : value,
    failure: isOther ? null : failure,
    isLoading: loading.value || readKey !== key,
    reload: () => run.current(),
  }
}
