import {
  Activity,
  BellRing,
  BookOpen,
  CircleQuestionMark,
  Gauge,
  KeyRound,
  LogOut,
  Monitor,
  Moon,
  RadioTower,
  Scale,
  ShieldCheck,
  Sun,
  Tags,
  Ticket,
} from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { isPast, useAsOf } from '../as-of.ts'
import { NavTo } from '../parts/to.tsx'
import { session, signOut } from '../session.ts'
import { theme, zone } from '../settings.ts'
import { AsOfPicker } from './as-of-picker.tsx'
import { Live } from './live.tsx'
import { Mark } from './mark.tsx'

const PLACES = [
  { href: '/', title: 'Overview', Icon: Gauge },
  { href: '/api-keys', title: 'API keys', Icon: KeyRound },
  { href: '/keys', title: 'Token keys', Icon: Ticket },
  { href: '/dimensions', title: 'Dimensions', Icon: Tags },
  { href: '/events', title: 'Log', Icon: BookOpen },
  { href: '/corrections', title: 'Corrections', Icon: Scale },
  { href: '/unknown-keys', title: 'Unknown keys', Icon: CircleQuestionMark },
  { href: '/sources', title: 'Sources', Icon: RadioTower },
  { href: '/webhooks', title: 'Webhooks', Icon: BellRing },
  { href: '/proofs', title: 'Proofs', Icon: ShieldCheck },
  { href: '/health', title: 'Health', Icon: Activity },
]

/** The frame of every page: the navigation, the as-of, and the signed-in user. */
export function Shell({ children }: { children: ComponentChildren }) {
  const past = isPast(useAsOf())
  return (
    <div class={past ? 'shell past' : 'shell'}>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <nav aria-label="Console">
        <p class="brand">
          <Mark /> <span>Tallybook</span>
        </p>
        <ul>
          {PLACES.map(({ href, title, Icon }) => (
            <li key={href}>
              <NavTo href={href}>
                <Icon aria-hidden size={18} /> <span>{title}</span>
              </NavTo>
            </li>
          ))}
        </ul>
        <User />
      </nav>
      <div class="page">
        <header class="bar">
          <Live />
          <AsOfPicker />
          <Zone />
          <Theme />
          <SignOut />
        </header>
        <main id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
    </div>
  )
}

function User() {
  const { name, role } = session.value!
  return (
    <div class="user">
      <span title={`Signed in with the token ${name}`}>
        {name} {name !== role && <small>{role}</small>}
      </span>
      <SignOut />
    </div>
  )
}

/** Shown next to the name, or in the bar if there is no room for the name. */
const SignOut = () => (
  <button
    type="button"
    class="icon sign-out"
    aria-label="Sign out"
    title="Sign out"
    onClick={signOut}
  >
    <LogOut aria-hidden size={16} />
  </button>
)

const Zone = () => (
  <fieldset class="segments">
    <legend class="unseen">Time zone</legend>
    {(['utc', 'local'] as const).map((choice) => (
      <button
        key={choice}
        type="button"
        aria-pressed={zone.value === choice}
        onClick={() => {
          zone.value = choice
        }}
      >
        {choice === 'utc' ? 'UTC' : 'Local'}
      </button>
    ))}
  </fieldset>
)

const THEMES = { auto: Monitor, light: Sun, dark: Moon }
const NEXT = { auto: 'light', light: 'dark', dark: 'auto' } as const

function Theme() {
  const Icon = THEMES[theme.value]
  const title = `Colours: ${theme.value === 'auto' ? 'system' : theme.value}`
  return (
    <button
      type="button"
      class="icon"
      aria-label={title}
      title={title}
      onClick={() => {
        theme.value = NEXT[theme.value]
      }}
    >
      <Icon aria-hidden size={18} />
    </button>
  )
}
