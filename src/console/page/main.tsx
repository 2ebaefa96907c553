import { render } from 'preact'
import { Router } from 'wouter-preact'
import 'uplot/dist/uPlot.min.css'
import './style/base.css'
import './style/shell.css'
import './style/tables.css'
import './style/parts.css'
import './style/pages.css'
import { BASE } from './api.ts'
import { App } from './app.tsx'
import { startLive } from './live.ts'
import { startTheme } from './settings.ts'

startTheme()
startLive()
render(
  <Router base={BASE}>
    <App />
  </Router>,
  document.getElementById('console')!,
)
