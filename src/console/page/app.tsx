import { useLayoutEffect, useRef } from 'preact/hooks'
import { Route, Switch, useLocation } from 'wouter-preact'
import { Corrections } from './bookkeeping/corrections.tsx'
import { UnknownKeys } from './bookkeeping/unknown-keys.tsx'
import { DeclarationsProvider } from './declared/declarations.tsx'
import { DeclaredPage } from './declared/declared.tsx'
import { ApiKey } from './entity/api-key.tsx'
import { ApiKeyList } from './entity/api-key-list.tsx'
import { Group } from './entity/group.tsx'
import { Key } from './entity/key.tsx'
import { KeyList } from './entity/key-list.tsx'
import { Health } from './health/health.tsx'
import { Event } from './log/event.tsx'
import { Events } from './log/events.tsx'
import { Overview } from './overview/overview.tsx'
import { pagePosition } from './page-position.ts'
import { Empty } from './parts/states.tsx'
import { Title } from './parts/title.tsx'
import { To } from './parts/to.tsx'
import { Proofs } from './proof/proofs.tsx'
import { session } from './session.ts'
import { Shell } from './shell/shell.tsx'
import { SignIn } from './shell/sign-in.tsx'
import { Waiting } from './shell/waiting.tsx'
import { Source } from './sources/source.tsx'
import { Sources } from './sources/sources.tsx'
import { WebhooksPage } from './webhooks/page.tsx'

/** The console: one page for each path in console/paths.ts. */
export function App() {
  const [path] = useLocation()
  const before = useRef(path)
  useLayoutEffect(() => {
    if (path === before.current) return
    before.current = path
    pagePosition.value = null
    // As when a browser loads a page: scrolled to the top, and read from the start.
    window.scrollTo(0, 0)
    document.getElementById('main')?.focus({ preventScroll: true })
  }, [path])
  if (session.value === undefined) return <Waiting />
  if (session.value === null) return <SignIn />
  return (
    <Shell>
      <DeclarationsProvider>
        <Switch>
          <Route path="/" component={Overview} />
          <Route path="/groups/:id">{({ id }) => <Group key={id} id={id} />}</Route>
          <Route path="/api-keys">
            <Title>API keys</Title>
            <ApiKeyList />
          </Route>
          <Route path="/api-keys/:id">{({ id }) => <ApiKey key={id} id={id} />}</Route>
          <Route path="/keys" component={KeyList} />
          <Route path="/keys/:hash">{({ hash }) => <Key key={hash} hash={hash} />}</Route>
          <Route path="/dimensions" component={DeclaredPage} />
          <Route path="/events" component={Events} />
          <Route path="/events/:shard/:position">
            {(at) => <Event key={`${at.shard}/${at.position}`} {...at} />}
          </Route>
          <Route path="/corrections" component={Corrections} />
          <Route path="/unknown-keys" component={UnknownKeys} />
          <Route path="/sources" component={Sources} />
          <Route path="/sources/:name">{({ name }) => <Source key={name} name={name} />}</Route>
          <Route path="/webhooks" component={WebhooksPage} />
          <Route path="/proofs" component={Proofs} />
          <Route path="/health" component={Health} />
          <Route>
            <Empty title="Page not found.">
              <To href="/">Go to the overview</To>
            </Empty>
          </Route>
        </Switch>
      </DeclarationsProvider>
    </Shell>
  )
}
