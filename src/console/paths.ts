/** The paths of the console's pages; all serve the same document. */
export const PATHS = [
  '/',
  '/groups/:id',
  '/api-keys',
  '/api-keys/:id',
  '/keys',
  '/keys/:hash',
  '/dimensions',
  '/events',
  '/events/:shard/:position',
  '/corrections',
  '/unknown-keys',
  '/sources',
  '/sources/:name',
  '/webhooks',
  '/proofs',
  '/health',
] as const
