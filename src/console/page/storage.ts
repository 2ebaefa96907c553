/** Replaces local storage in a browser that forbids it, until the user leaves the page. */
const fallback = new Map<string, string>()

/** Returns the text that this browser stores under a name, or null if there is none. */
export function readStored(name: string): string | null {
  const stored = fallback.get(name)
  if (stored !== undefined) return stored
  try {
    return localStorage.getItem(name)
  } catch {
    // Browsers throw if their settings forbid storage.
    return null
  }
}

/** Stores a text in this browser; if that is forbidden, until the user leaves the page. */
export function store(name: string, text: string): void {
  try {
    localStorage.setItem(name, text)
    fallback.delete(name)
  } catch {
    fallback.set(name, text)
  }
}
