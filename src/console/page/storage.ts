/** What a browser keeps of this console where it may keep nothing: until the page is left. */
const passing = new Map<string, string>()

/** What this browser has kept under a name; null: nothing. */
export function readKept(name: string): string | null {
  const kept = passing.get(name)
  if (kept !== undefined) return kept
  try {
    return localStorage.getItem(name)
  } catch {
    // Browsers throw where their settings forbid it.
    return null
  }
}

/** Keeps a text in this browser; where it may keep none, until the page is left. */
export function keep(name: string, text: string): void {
  try {
    localStorage.setItem(name, text)
    passing.delete(name)
  } catch {
    passing.set(name, text)
  }
}
