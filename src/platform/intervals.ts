/**
 * How often the components of a service poll for the work of others, and how long they wait for
 * others, in milliseconds. Each component receives the intervals it needs when it is created.
 * Tests run a service with shorter ones.
 */
export type Intervals = {
  database: {
    /** How long a statement waits for a lock. */
    lockTimeoutMs: number
    /**
     * How long a connection may leave a statement unanswered. After that the server is asked, on
     * another connection, if it is still working on it; if it isn't, the connection is closed.
     */
    silentAfterMs: number
  }
  instances: {
    /** Heartbeat interval. Each heartbeat also refreshes the list of live instances. */
    heartbeatMs: number
    /** An instance counts as gone after this long without a heartbeat, by the database's clock. */
    silentAfterMs: number
  }
  certificate: {
    /** How often to look for a renewed certificate. */
    pollIntervalMs: number
  }
  tokens: {
    /** How often to poll for tokens that other instances have created or revoked. */
    pollIntervalMs: number
  }
  log: {
    /** How long to route flushes away from a shard after an append to it failed. */
    cooldownMs: number
    /** The longest time from queueing a flush to answering it, whatever the database does. */
    answerWithinMs: number
  }
  segments: {
    /** How often to see whether the log needs another segment. */
    pollIntervalMs: number
  }
  packing: {
    /** How often to look for full segments, whose idempotency keys are packed. */
    pollIntervalMs: number
  }
  archive: {
    /** How often to look for segments that can be moved to the archive, or out of the database. */
    pollIntervalMs: number
    /** How often reads ask which segments are read from the archive. */
    refreshMs: number
    /** In what time each file of the archive is checked once. */
    checkEachMs: number
  }
  projector: {
    /**
     * How often to poll for what other processes have appended or folded; also the longest delay
     * between two batches of the current projection group.
     */
    pollIntervalMs: number
    /**
     * How long a checkpoint may stand still while a reader here waits for another instance to move
     * it. After that, this instance folds the shard itself.
     */
    helpAfterMs: number
    /** The delay after a batch failed, even if readers are waiting. */
    retryAfterMs: number
  }
  quota: {
    /** How often to look for quota periods that have begun. */
    pollIntervalMs: number
  }
  rollups: {
    /** How often to look for usage that is to be kept by days. */
    pollIntervalMs: number
  }
  rules: {
    /** How often to evaluate rules. */
    evaluateIntervalMs: number
  }
  webhooks: {
    /** How often to look for deliveries that are due. */
    pollIntervalMs: number
    /** How long an attempt may take to connect. */
    connectWithinMs: number
    /** How long an attempt may take until the status of the answer is there. */
    answerWithinMs: number
  }
  transparency: {
    /** How often to poll a log that doesn't grow, and the time between two signed tree heads. */
    pollIntervalMs: number
    /**
     * How long a shard's newest tree head may stay the same before an instance that doesn't own the
     * shard integrates and signs once itself.
     */
    helpAfterMs: number
  }
  replicas: {
    /** How often to poll a replica. */
    pollIntervalMs: number
    /** How long a read waits for the positions it needs before the replica counts as behind. */
    behindAfterMs: number
    /** How long a poll waits for a replica that was behind to catch up. */
    caughtUpWithinMs: number
    /** How long a server may take to answer a poll. */
    answerTimeoutMs: number
  }
  streams: {
    /** How often to poll for what other processes append, while there are subscribers. */
    pollIntervalMs: number
    /** How often to check that the tokens and sessions of open streams are still valid. */
    authIntervalMs: number
    /** How often an idle stream sends a keep-alive, so that proxies don't close it. */
    keepAliveMs: number
    /** The delay before a page that the database failed to return is requested again. */
    retryAfterMs: number
  }
  adoption: {
    /**
     * How long an adoption is tried while other acts overtake it, and reads the log if it has to.
     * After that it is answered 503, and a repeated request goes on with the reading.
     */
    adoptWithinMs: number
  }
  admission: {
    /** How long a request may wait for a slot when its client has many requests in progress. */
    waitMs: number
  }
  metrics: {
    /** How long the result of a scrape is reused for other scrapes. */
    reuseMs: number
  }
  stop: {
    /** How long accepted flushes have to be appended and answered when the service stops. */
    drainMs: number
    /** How long the projector and the other background work have to finish after that. */
    timeoutMs: number
  }
}

/** The intervals of a service in production. */
export const INTERVALS: Intervals = {
  // An append that waits for another session's lock fails in time to answer its flushes with 503.
  // Catalog changes lock every shard, but queue for only milliseconds each.
  // Detecting silence may take another quarter of that time, and the server's answer as long again.
  database: { lockTimeoutMs: 5_000, silentAfterMs: 5_000 },
  // This costs three statements a second, and a killed instance's shards have a new owner within
  // four seconds. Silence is three heartbeats, so that a late or lost one costs nothing.
  instances: { heartbeatMs: 1_000, silentAfterMs: 3_000 },
  certificate: { pollIntervalMs: 10_000 },
  // A token that is revoked through one instance is refused by the others after a second.
  tokens: { pollIntervalMs: 1_000 },
  // One flush a second tests if a failed shard is available again.
  // The database itself limits a batch to 30 s.
  log: { cooldownMs: 1_000, answerWithinMs: 35_000 },
  // An append that finds none creates it at once.
  segments: { pollIntervalMs: 5_000 },
  packing: { pollIntervalMs: 60_000 },
  archive: { pollIntervalMs: 60_000, refreshMs: 10_000, checkEachMs: 86_400_000 },
  projector: { pollIntervalMs: 1_000, helpAfterMs: 1_000, retryAfterMs: 200 },
  // Until a period is found, reads add up what was used in it: seconds of usage if it has just
  // begun, and a month at most after a change of the catalog.
  quota: { pollIntervalMs: 10_000 },
  // A person who is told needs longer than that to look.
  rollups: { pollIntervalMs: 300_000 },
  rules: { evaluateIntervalMs: 10_000 },
  // An attempt ends long before the delivery is taken again (LEASE_S).
  webhooks: { pollIntervalMs: 1_000, connectWithinMs: 5_000, answerWithinMs: 15_000 },
  // Another instance helps before a request for a receipt times out (HEAD_MS, 5 s), for example
  // if the owner's disk is full, the owner has just died, or it signs under another name.
  transparency: { pollIntervalMs: 1_000, helpAfterMs: 3_000 },
  // A nearby replica has a commit within one to twenty milliseconds.
  replicas: {
    pollIntervalMs: 1_000,
    behindAfterMs: 500,
    caughtUpWithinMs: 250,
    answerTimeoutMs: 2_000,
  },
  // Proxies close connections that are idle for 30 s or more.
  streams: {
    pollIntervalMs: 1_000,
    authIntervalMs: 1_000,
    keepAliveMs: 15_000,
    retryAfterMs: 1_000,
  },
  // With waiting for projections and a last statement, an answer comes within 45 s: before proxies
  // give up, most of which wait for 60 s.
  adoption: { adoptWithinMs: 20_000 },
  // Clients have not timed out by then.
  admission: { waitMs: 5_000 },
  // Any number of scrapes costs as much as one a second.
  metrics: { reuseMs: 1_000 },
  // Containers are killed ten seconds after they are asked to stop. A flush that isn't in the log
  // by then was never acknowledged.
  stop: { drainMs: 5_000, timeoutMs: 1_000 },
}
