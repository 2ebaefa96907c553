import { render } from 'preact'
import 'uplot/dist/uPlot.min.css'
import './style/base.css'
import './style/shell.css'
import './style/tables.css'
import './style/parts.css'
import './style/pages.css'
import { App } from './app.tsx'
import { startLive } from './live.ts'
import { startTheme } from './settings.ts'

startTheme()
startLive()
render(<App />, document.getElementById('console')!)
