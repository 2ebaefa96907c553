import { constants, setPriority } from 'node:os'

/**
 * Lowers the priority of this process: long work then leaves most of the CPU to a service that runs
 * alongside, and can use all of it if there is none.
 */
export function lowerPriority(): void {
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // The system does not support priorities.
  }
}
