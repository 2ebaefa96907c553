#!/usr/bin/env bun
import { runCommand } from './cli/index.ts'
import { EmbeddedPostgresError } from './db/embedded/index.ts'
import { StartError } from './db/errors.ts'

// Not awaited at the top level: an exception there makes Bun spin instead of ending.
runCommand(Bun.argv.slice(2)).catch((error: unknown) => {
  const isForPeople = error instanceof StartError || error instanceof EmbeddedPostgresError
  console.error(isForPeople ? error.message : error)
  process.exit(1)
})
