/** `bun run openapi` writes docs/reference/openapi.json, the description of the API. */
import { writeFile } from 'node:fs/promises'
import { describeApi, OPENAPI_FILE, toText } from './http/documented.ts'

await writeFile(OPENAPI_FILE, toText(await describeApi()))
