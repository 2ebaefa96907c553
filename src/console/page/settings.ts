import { effect, signal } from '@preact/signals'
import { readStored, store } from './storage.ts'

/** The zone in which times are shown and days begin. */
export const zone = remembered<'utc' | 'local'>('zone', ['utc', 'local'])

/** The colour scheme; `auto` is that of the system. */
export const theme = remembered<'auto' | 'light' | 'dark'>('theme', ['auto', 'light', 'dark'])

/** Applies the colour scheme that the user chose, now and after each change. */
export function startTheme(): void {
  effect(() => {
    if (theme.value === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme.value
  })
}

/** Returns a choice that this browser stores; by default the first. */
function remembered<Choice extends string>(name: string, choices: readonly Choice[]) {
  const key = `tallybook.${name}`
  const stored = readStored(key) as Choice
  const choice = signal(choices.includes(stored) ? stored : choices[0]!)
  effect(() => store(key, choice.value))
  return choice
}
