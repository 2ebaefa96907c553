import type { TestService } from './service.ts'

/** The service that a session uses; a test may replace it by another. */
export class Place {
  constructor(public service: TestService) {}

  asService(): TestService {
    return {
      ...this.service,
      fetch: (...args) => this.service.fetch(...args),
      post: (...args) => this.service.post(...args),
      putCatalog: (...args) => this.service.putCatalog(...args),
      read: (path) => this.service.read(path),
    }
  }
}
