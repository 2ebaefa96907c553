import { effect, signal } from '@preact/signals'
import { keep, readKept } from './storage.ts'

/** In which zone times are shown and days begin. */
export const zone = remembered<'utc' | 'local'>('zone', ['utc', 'local'])

/** `auto`: as the system has it. */
export const theme = remembered<'auto' | 'light' | 'dark'>('theme', ['auto', 'light', 'dark'])

/** Gives the document the colours that the reader chose, now and whenever he chooses others. */
export function startTheme(): void {
  effect(() => {
    if (theme.value === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme.value
  })
}

/** A choice that this browser keeps; the first one until something was chosen. */
function remembered<Choice extends string>(name: string, choices: readonly Choice[]) {
  const key = `tallybook.${name}`
  const kept = readKept(key) as Choice
  const choice = signal(choices.includes(kept) ? kept : choices[0]!)
  effect(() => keep(key, choice.value))
  return choice
}
