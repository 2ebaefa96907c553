/** Times (ms): to wait for a leader's answer, between heartbeats, and until a leader is dead. */
export const TIMES = { answer: 150, heartbeat: 1_000, silence: 3_000 }

type Message<State> =
  | { kind: 'ask' }
  | { kind: 'leave' }
  | { kind: 'heartbeat'; from: string; state: State }

type Callbacks<State> = {
  /** This window becomes the leader. */
  lead: () => void
  /** This window stops being the leader. */
  resign: () => void
  /** The leader has published a state. */
  hear: (state: State) => void
}

/**
 * Elects a leader among the windows of a browser, which works for all of them and publishes its
 * state. A window that joins asks for the leader, and leads if none answers. So does a window that
 * hears no heartbeat for three seconds, as after a crash, or that hears the leader leave. Two may
 * lead for a moment: once one hears the other, the one with the higher id resigns. Web Locks would
 * do the same, but only on pages on HTTPS or localhost.
 */
export class Election<State> {
  readonly #id = `${Math.random()}`
  #channel: BroadcastChannel | null = null
  #isLeading = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly name: string,
    private readonly callbacks: Callbacks<State>,
    /** The last state published, by any window. */
    private state: State,
    private readonly times = TIMES,
  ) {}

  join(): void {
    if (this.#channel !== null) return
    this.#channel = new BroadcastChannel(this.name)
    this.#channel.onmessage = ({ data }) => this.#hear(data)
    this.#post({ kind: 'ask' })
    this.#leadAfter(this.times.answer)
  }

  leave(): void {
    if (this.#isLeading) this.#post({ kind: 'leave' })
    this.#channel?.close()
    this.#channel = null
    clearTimeout(this.#timer)
    this.#resign()
  }

  /** Publishes a state to all other windows, if this one leads. */
  publish(state: State): void {
    this.state = state
    if (this.#isLeading) this.#heartbeat()
  }

  #hear(message: Message<State>): void {
    if (message.kind === 'ask') {
      if (this.#isLeading) this.#heartbeat()
    } else if (message.kind === 'leave') {
      if (!this.#isLeading) this.#leadAfter(0)
    } else if (this.#isLeading && this.#id < message.from) {
      this.#heartbeat()
    } else {
      this.#resign()
      this.state = message.state
      this.callbacks.hear(message.state)
      this.#leadAfter(this.times.silence)
    }
  }

  /** Leads unless a leader is heard by then. The delay is random, so that windows differ. */
  #leadAfter(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#lead(), ms + Math.random() * this.times.answer)
  }

  #lead(): void {
    this.#isLeading = true
    this.callbacks.lead()
    this.#heartbeat()
  }

  #resign(): void {
    if (!this.#isLeading) return
    this.#isLeading = false
    this.callbacks.resign()
  }

  #heartbeat(): void {
    this.#post({ kind: 'heartbeat', from: this.#id, state: this.state })
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#heartbeat(), this.times.heartbeat)
  }

  #post(message: Message<State>): void {
    this.#channel?.postMessage(message)
  }
}
