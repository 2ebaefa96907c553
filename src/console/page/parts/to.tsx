import type { ComponentChildren } from 'preact'
import { Link, useLocation } from 'wouter-preact'
import { useAsOf, withAsOf } from '../as-of.ts'

type Props = { href: string; class?: string; children: ComponentChildren; title?: string }

/** A link within the console that keeps the as-of. */
export function To({ href, ...rest }: Props) {
  return <Link href={withAsOf(href, useAsOf())} {...rest} />
}

/** A navigation link that marks the current page. */
export function NavTo({ href, children }: Props) {
  const [path] = useLocation()
  const isHere = href === '/' ? path === '/' : path === href || path.startsWith(`${href}/`)
  return (
    <Link href={withAsOf(href, useAsOf())} aria-current={isHere ? 'page' : undefined}>
      {children}
    </Link>
  )
}
