import { constants, setPriority } from 'node:os'

/**
 * Gives this process a low priority: long work then leaves most of the processor to a service that
 * runs beside it, and has all of it where nothing does.
 */
export function lowerPriority(): void {
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // The system knows no priorities.
  }
}
