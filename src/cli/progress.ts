/** Update intervals (ms): a terminal redraws its line; any other output gets another line. */
const REDRAW_MS = 100
const LINE_MS = 5_000

const BAR_COLUMNS = 24

/** The progress of a long command at one moment. */
export type ProgressState = { label: string; done: number; total: number; elapsedMs: number }

/** Shows the progress of a long command on stderr: a bar on a terminal, else a line every 5 s. */
export class Progress {
  readonly #started = performance.now()
  readonly #isTerminal = process.stderr.isTTY === true
  #shownAt = this.#started
  #last: { done: number; total: number } | null = null

  constructor(private readonly label: string) {}

  /** Records how much is done; cheap enough to call for every event. */
  update(done: number, total: number): void {
    this.#last = { done, total }
    const now = performance.now()
    if (now - this.#shownAt < (this.#isTerminal ? REDRAW_MS : LINE_MS)) return
    this.#shownAt = now
    this.#show()
  }

  /** Shows the last state and ends the terminal's line. Call it on success and on failure. */
  end(): void {
    if (!this.#isTerminal || this.#last === null) return
    this.#show()
    process.stderr.write('\n')
  }

  #show(): void {
    if (this.#last === null) return
    const elapsedMs = performance.now() - this.#started
    const state = { label: this.label, ...this.#last, elapsedMs }
    const columns = process.stderr.columns || 80
    // Return to the start of the line, and clear the rest of a longer previous text.
    if (this.#isTerminal) process.stderr.write(`\r${formatBar(state, columns)}\x1b[K`)
    else process.stderr.write(`${formatLine(state)}\n`)
  }
}

/**
 * Formats a line for a terminal, cut to its width; a narrow terminal gets no bar.
 *
 *     export [#########...............]  40,000/100,000  8,000/s  0:08 left
 */
export function formatBar(state: ProgressState, columns: number): string {
  const share = state.total > 0 ? Math.min(state.done / state.total, 1) : 0
  const full = Math.floor(share * BAR_COLUMNS)
  const bar = `[${'#'.repeat(full)}${'.'.repeat(BAR_COLUMNS - full)}]`
  const figures = `${count(state.done)}/${count(state.total)}  ${formatPace(state).join('  ')}`
  const line = `${state.label} ${bar}  ${figures}`
  // Some terminals wrap a line that fills their whole width.
  return (line.length < columns ? line : `${state.label}  ${figures}`).slice(0, columns - 1)
}

/** Formats a line of text: `export: 40,000 of 100,000, 8,000/s, 0:08 left`. */
export function formatLine(state: ProgressState): string {
  const figures = `${count(state.done)} of ${count(state.total)}`
  return `${state.label}: ${[figures, ...formatPace(state)].join(', ')}`
}

/** Returns the rate, and the time left if it can be estimated. */
function formatPace({ done, total, elapsedMs }: ProgressState): string[] {
  const perSecond = elapsedMs > 0 ? (done / elapsedMs) * 1000 : 0
  const rate = `${count(Math.round(perSecond))}/s`
  if (perSecond === 0 || done >= total) return [rate]
  return [rate, `${formatDuration((total - done) / perSecond)} left`]
}

/** `0:08`, `12:30`, `1:02:03` */
function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds)
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  if (parts[0] === 0) parts.shift()
  return parts.map((part, i) => (i === 0 ? `${part}` : `${part}`.padStart(2, '0'))).join(':')
}

const count = (value: number) => value.toLocaleString('en-US')
