import type { TestService } from './service.ts'

/** The service that a session talks to; another may take its place. */
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
