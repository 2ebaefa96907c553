/** TALLYBOOK_TEST_FULL=1: what costs too much for every day is tried too (docs/guides/testing.md). */
export const isFull = process.env.TALLYBOOK_TEST_FULL === '1'
