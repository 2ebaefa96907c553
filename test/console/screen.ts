import type { Page } from 'playwright-core'

/** Screen sizes that pages are tested on, in CSS pixels. */
export const SIZES = { wide: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } }

export type Size = keyof typeof SIZES

/** Sets the screen of a page to a size, with this height instead of its own. */
export type Show = (size: Size, height: number) => Promise<void>

/** Returns a function that changes the screen of a page, also after its load. Phones have touch. */
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

/** Sums up the layout shift of a page; runs in the page. */
export function countShift(): void {
  let shift = 0
  Object.assign(globalThis, { readShift: () => shift })
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) {
      shift += entry.value
    }
  }).observe({ type: 'layout-shift', buffered: true })
}
