/** TALLYBOOK_TEST_FULL=1 adds what costs too much for everyday runs (docs/guides/testing.md). */
export const isFull = process.env.TALLYBOOK_TEST_FULL === '1'
