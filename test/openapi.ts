/** Writes docs/reference/openapi.json, the API's description: `bun run openapi`. */
import { writeFile } from 'node:fs/promises'
import { describeApi, OPENAPI_FILE, toText } from './http/documented.ts'

await writeFile(OPENAPI_FILE, toText(await describeApi()))
