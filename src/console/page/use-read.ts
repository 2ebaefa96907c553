import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { Failure } from './api.ts'
import { heads } from './live.ts'

/** Milliseconds between two looks whether somebody looks at the page again. */
const HIDDEN_MS = 1_000
/** Milliseconds at most until what may succeed later is tried again. */
const AGAIN_MS = 3_000

export type Read<Value> = {
  /** The newest that was read; undefined: nothing yet. */
  value: Value | undefined
  /** Why the last try failed. What was read before stays. */
  failure: Failure | null
  /** True while something is read that was asked for, not only read again. */
  isLoading: boolean
  reload: () => void
}

export type ReadOptions = {
  /** Milliseconds between two reads, at least, when the log grows; null: it is read once. */
  everyMs?: number | null
  /** Whether what is there stays while another key is read. */
  keeps?: boolean
  /** Whether it is read again although the log doesn't grow. */
  always?: boolean
}

/**
 * Reads when `key` changes, and again when the log has grown, or where the service couldn't just
 * then. One read is under way at a time; a newer key abandons it, and `signal` says so.
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
  const rest = useRef(everyMs)
  rest.current = everyMs
  const run = useRef<() => void>(() => {})

  useEffect(() => {
    const over = new AbortController()
    let isReading = false
    let isStale = false
    let isPassing = false
    let readAt = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async () => {
      clearTimeout(timer)
      if (isReading) {
        isStale = true
        return
      }
      isReading = true
      isStale = false
      readAt = performance.now()
      try {
        const value = await newest.current(over.signal)
        isPassing = false
        if (!over.signal.aborted) state.value = { key, value, failure: null }
      } catch (error) {
        const failure = Failure.from(error)
        isPassing = failure.isPassing
        if (!over.signal.aborted) state.value = { ...state.peek(), failure }
      }
      isReading = false
      if (over.signal.aborted) return
      loading.value = false
      if (isPassing || ((isStale || always) && rest.current !== null)) readSoon()
    }
    const readSoon = () => {
      clearTimeout(timer)
      const everyMs = isPassing ? Math.min(rest.current ?? AGAIN_MS, AGAIN_MS) : (rest.current ?? 0)
      const dueMs = readAt + everyMs - performance.now()
      const restMs = Math.max(dueMs, document.hidden ? HIDDEN_MS : 0)
      // Nobody looks: later.
      timer = setTimeout(() => {
        if (document.hidden) readSoon()
        else if (isPassing || rest.current !== null) void read()
      }, restMs)
    }
    run.current = read
    loading.value = true
    if (!keeps) state.value = { key, value: undefined, failure: null }
    void read()
    const stop = heads.subscribe((positions) => {
      if (positions !== null && rest.current !== null && readAt > 0) readSoon()
    })
    return () => {
      over.abort()
      clearTimeout(timer)
      stop()
    }
  }, [key])

  // Who goes on after a pause wants to see what came meanwhile; who pauses, nothing new.
  const isLive = everyMs !== null
  const wasLive = useRef(isLive)
  useEffect(() => {
    if (isLive && !wasLive.current) run.current()
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
