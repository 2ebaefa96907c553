/** Fills a running, fresh service with a believable gateway. */
export async function demo(_args: string[]): Promise<void> {}
