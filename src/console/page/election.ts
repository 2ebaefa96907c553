/** Milliseconds: how soon who leads answers, how often it gives a sign, when it counts as gone. */
export const TIMES = { answer: 150, heartbeat: 1_000, silence: 3_000 }

type Message<State> =
  | { kind: 'ask' }
  | { kind: 'leave' }
  | { kind: 'beat'; from: string; state: State }

type Duties<State> = {
  /** This window leads from now on. */
  lead: () => void
  /** It no longer does. */
  resign: () => void
  /** What the one that leads has told. */
  hear: (state: State) => void
}

/**
 * Has one of the windows of a browser do what one can do for all of them, and tell the others. Who
 * joins asks for the one that leads, and leads if none answers; so does a window that hears nothing
 * for three seconds, as after a crash, or that hears that the leader leaves. Two may lead for a
 * moment: as soon as one hears the other, the one with the higher id resigns. The browser's own
 * locks would do, but only pages on HTTPS or localhost have them.
 */
export class Election<State> {
  readonly #id = `${Math.random()}`
  #channel: BroadcastChannel | null = null
  #isLeading = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly name: string,
    private readonly duties: Duties<State>,
    /** What was told last, by whichever window. */
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

  /** Tells all others, if this window leads. */
  tell(state: State): void {
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
      this.duties.hear(message.state)
      this.#leadAfter(this.times.silence)
    }
  }

  /** Leads unless somebody else is heard by then: not at the same time as all others. */
  #leadAfter(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#lead(), ms + Math.random() * this.times.answer)
  }

  #lead(): void {
    this.#isLeading = true
    this.duties.lead()
    this.#heartbeat()
  }

  #resign(): void {
    if (!this.#isLeading) return
    this.#isLeading = false
    this.duties.resign()
  }

  #heartbeat(): void {
    this.#post({ kind: 'beat', from: this.#id, state: this.state })
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#heartbeat(), this.times.heartbeat)
  }

  #post(message: Message<State>): void {
    this.#channel?.postMessage(message)
  }
}
