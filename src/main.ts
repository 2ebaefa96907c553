#!/usr/bin/env bun
import { runCommand } from './cli/index.ts'
import { UserError } from './platform/user-error.ts'

// Not awaited at the top level: an exception there makes Bun spin instead of exiting.
runCommand(Bun.argv.slice(2)).catch((error: unknown) => {
  const isExpected = error instanceof UserError
  console.error(isExpected ? error.message : error)
  process.exit(isExpected ? error.exitCode : 1)
})
