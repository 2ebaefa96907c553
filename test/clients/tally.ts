/** What happened to the requests that a driver has recorded, over all of its scenarios. */
type Tally = {
  scenarios: number
  faults: number
  recorded: number
  sealed: number
  inLog: number
  lost: number
  doubled: number
}

const tallies = new Map<string, Tally>()

/** Adds what one scenario with a driver has shown. */
export function note(driver: string, shown: Omit<Tally, 'scenarios'>): void {
  const before = tallies.get(driver)
  const sum = (name: keyof typeof shown) => (before?.[name] ?? 0) + shown[name]
  tallies.set(driver, {
    scenarios: (before?.scenarios ?? 0) + 1,
    ...{ faults: sum('faults'), recorded: sum('recorded'), sealed: sum('sealed') },
    ...{ inLog: sum('inLog'), lost: sum('lost'), doubled: sum('doubled') },
  })
}

/** Prints the rows of docs/measurements/clients.md. */
export function printTallies(): void {
  for (const [driver, tally] of tallies) {
    console.log(`| ${[driver, ...Object.values(tally)].join(' | ')} |`)
  }
}
