import { isStorable } from '../../events/columns.ts'
import type { KeyHints } from '../../events/flush.ts'

/** Longer names and external ids are not in the catalog. */
const MAX_LENGTH = 255

/** Approximate size of a hint without its texts. */
const HINT_BYTES = 64

/** The fields of an entry that describe its key. Their values may have any type. */
type Described = { group?: unknown; group_id?: unknown; name?: unknown }

/**
 * Adds how entry `index` of a flush describes its key, if it does. A value that the catalog can't
 * have counts as absent: usage is not refused because of a name.
 */
export function addHint(hints: KeyHints, index: number, entry: object): void {
  const { group: postedGroup, group_id, name: postedName } = entry as Described
  const group = textOf(typeof postedGroup === 'string' ? postedGroup.trim() : null)
  const groupId = Number.isSafeInteger(group_id) ? Math.max(0, group_id as number) : 0
  const name = textOf(postedName)
  if (group === null && groupId === 0 && name === null) return
  hints.byEntry.set(index, { group, groupId, name })
  hints.bytes += HINT_BYTES + (group?.length ?? 0) + (name?.length ?? 0)
}

function textOf(value: unknown): string | null {
  if (typeof value !== 'string' || value === '' || value.length > MAX_LENGTH) return null
  return isStorable(value) ? value : null
}
