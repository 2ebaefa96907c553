import { type Answer, type Question, type Scope, scopeKey } from './decide.ts'

/** Takes the answer for one scope. */
type Note = (isAccepted: boolean) => void

/** A question, and who takes the answer for each of its scopes. */
export type Asked = Question & { notes: readonly Note[] }

/** Questions of a batch, each once, in the order in which they are asked first. */
export class Questions {
  readonly #asked = new Map<string, Asked>()

  /** Asks if all scopes accept a value. */
  ask(value: string, noting: readonly (Scope & { note: Note })[]): void {
    const key = `${value}\0${noting.map(scopeKey).join('\0')}`
    if (this.#asked.has(key)) return
    const scopes = noting.map(({ kind, name }) => ({ kind, name }))
    this.#asked.set(key, { value, scopes, notes: noting.map(({ note }) => note) })
  }

  get all(): readonly Asked[] {
    return [...this.#asked.values()]
  }
}

/** Passes on the answers to questions. Nobody is told what was not decided. */
export function noteAnswers(asked: readonly Asked[], answers: readonly Answer[]): void {
  for (const [i, { notes }] of asked.entries()) {
    for (const [j, note] of notes.entries()) {
      const isAccepted = answers[i]![j]!
      if (isAccepted !== null) note(isAccepted)
    }
  }
}
