// The package has no types. These cover the members that are used.
declare module 'istanbul-lib-instrument' {
  export type Position = { line: number; column: number }
  export type Range = { start: Position; end: Position }
  export type FileCoverage = {
    statementMap: Record<string, Range>
    fnMap: Record<string, unknown>
    branchMap: Record<string, { type: string; loc: Range; locations: Range[] }>
  }
  export function createInstrumenter(options: {
    esModules: boolean
    compact: boolean
    preserveComments: boolean
    parserPlugins: string[]
    generatorOpts: { retainLines: boolean }
    coverageGlobalScope: string
    coverageGlobalScopeFunc: boolean
  }): {
    instrumentSync(code: string, filename: string): string
    lastFileCoverage(): FileCoverage
  }
}
