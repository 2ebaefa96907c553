import type { Page } from 'playwright-core'

/** Screens that pages are looked at on, in CSS pixels. */
export const SIZES = { wide: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } }

export type Size = keyof typeof SIZES

/** Puts a page on a screen of a size, but of this height. */
export type Show = (size: Size, height: number) => Promise<void>

/** The screen of a page, which it may change after it was loaded; a phone is one that is touched. */
export async function screenOf(page: Page): Promise<Show> {
  const devtools = await page.context().newCDPSession(page)
  return async (size, height) => {
    const isPhone = size === 'phone'
    const { width } = SIZES[size]
    await devtools.send('Emulation.setTouchEmulationEnabled', { enabled: isPhone })
    await devtools.send('Emulation.setDeviceMetricsOverride', {
      ...{ width, height, deviceScaleFactor: 1, mobile: isPhone },
    })
  }
}

/** Sums in a page how far it moves. */
export function countShift(): void {
  let shift = 0
  Object.assign(globalThis, { readShift: () => shift })
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) {
      shift += entry.value
    }
  }).observe({ type: 'layout-shift', buffered: true })
}
