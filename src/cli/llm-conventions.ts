/**
 * The dimensions and measures of a gateway for language models. docs/guides/llm-gateways.md says
 * what each of them means. Every token is in one of the first five measures.
 */
export const LLM_CONVENTIONS = {
  dimensions: [{ name: 'model' }, { name: 'provider' }, { name: 'operation' }, { name: 'status' }],
  measures: [
    { name: 'input_tokens' },
    { name: 'cache_read_tokens' },
    { name: 'cache_write_tokens' },
    { name: 'output_tokens' },
    { name: 'reasoning_tokens' },
    { name: 'cost_micros', unit: 'USD/1e6' },
    { name: 'unmetered_requests' },
  ],
} as const satisfies Conventions

/** The dimensions and measures that a catalog declares for a kind of gateway. */
export type Conventions = {
  dimensions: readonly { name: string }[]
  measures: readonly { name: string; unit?: string }[]
}
