import { type ComponentChildren, createContext } from 'preact'
import { useContext } from 'preact/hooks'
import { api, unwrap } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { type Read, useRead } from '../use-read.ts'
import type { Declared } from './dialogs.tsx'

/** Read interval (ms): they change rarely. */
const EVERY_MS = 30_000

/** All dimensions and measures of the page's as-of, also ended ones. */
export type Declarations = { dimensions: Declared[]; measures: Declared[] }

const Context = createContext<Pick<Read<Declarations>, 'value' | 'reload'>>({
  ...{ value: undefined, reload: async () => {} },
})

/** Returns what is declared, undefined while that is not known, and how to read it again. */
export const useDeclarations = () => useContext(Context)

/** Reads what is declared once for all parts of the console. */
export function DeclarationsProvider({ children }: { children: ComponentChildren }) {
  const asOf = useAsOf()
  const query = { ...asOf, ended: 'true', limit: '1000' } as const
  const { value, reload } = useRead<Declarations>(
    `declarations ${JSON.stringify(asOf)}`,
    async () => {
      const [dimensions, measures] = await Promise.all([
        unwrap(api.admin.dimensions.get({ query })),
        unwrap(api.admin.measures.get({ query })),
      ])
      return { dimensions: dimensions.value.items, measures: measures.value.items }
    },
    { everyMs: isPast(asOf) ? null : EVERY_MS, keeps: true },
  )
  return <Context.Provider value={{ value, reload }}>{children}</Context.Provider>
}
