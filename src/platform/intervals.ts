/**
 * How often the parts of a service look for what others did, and how long they wait for others, in
 * milliseconds. Each part gets the ones that it needs from whoever makes it; tests run a service
 * with shorter ones.
 */
export type Intervals = {
  database: {
    /** How long a statement waits for a lock. */
    lockTimeoutMs: number
    /**
     * How long a connection may leave a question without an answer before the server is asked, on
     * another one, whether it works on it; where it doesn't, the connection is given up.
     */
    silentAfterMs: number
  }
  instances: {
    /** From one heartbeat to the next, each with a look at who else gives one. */
    heartbeatMs: number
    /** Without a heartbeat for so long, by the database's clock, an instance is taken for gone. */
    silentAfterMs: number
  }
  tokens: {
    /** From one look for what other instances have made and revoked to the next. */
    pollIntervalMs: number
  }
  log: {
    /** How long a shard that could not be appended to is spared, where another will do. */
    cooldownMs: number
    /** From when a flush has come until it is answered, whatever the database does. */
    answerWithinMs: number
  }
  projector: {
    /**
     * From one look for what other processes have appended or folded to the next; also the longest
     * rest between two passes of the current track.
     */
    pollIntervalMs: number
    /**
     * How long a checkpoint may stand still, while a reader waits here for another instance to move
     * it: then this one does.
     */
    helpAfterMs: number
    /** The rest after a pass that failed, readers or not. */
    retryAfterMs: number
  }
  transparency: {
    /** From one look at a log that doesn't grow to the next, and between two signings. */
    pollIntervalMs: number
    /**
     * How long a shard's newest head may be the same before an instance that doesn't tend the shard
     * does a step of its own.
     */
    helpAfterMs: number
  }
  replicas: {
    /** From one look at a replica to the next. */
    pollIntervalMs: number
    /** How long a read waits for what it needs; then the replica is behind. */
    behindAfterMs: number
    /** How long a look waits for a replica that was behind. */
    caughtUpWithinMs: number
    /** How long a server has to answer a look. */
    answerTimeoutMs: number
  }
  streams: {
    /** While somebody follows, from one look for what other processes append to the next. */
    pollIntervalMs: number
    /** From one look whether the tokens and sessions of open streams still count to the next. */
    authIntervalMs: number
    /** A stream that has nothing to say sends something so often: proxies see it used. */
    keepAliveMs: number
    /** Until a page is tried again that the database didn't give. */
    retryAfterMs: number
  }
  places: {
    /** How long a request waits to be worked on, where its client has much under way. */
    waitMs: number
  }
  metrics: {
    /** For how long a scrape is answered by the one before, whoever asks. */
    reuseMs: number
  }
  stop: {
    /** How long what was accepted gets to be in the log and answered, when the service stops. */
    drainMs: number
    /** How long passes get to end after that. */
    timeoutMs: number
  }
}

/** The intervals of a service that runs for its users. */
export const INTERVALS: Intervals = {
  // An append that meets a lock held by a stranger ends in time for its flushes to get a 503, and
  // catalog changes, which lock every shard, queue for milliseconds each.
  // A quarter of that may go by until it is noticed, and as much again until the server has
  // answered.
  database: { lockTimeoutMs: 5_000, silentAfterMs: 5_000 },
  // Three statements a second, and a killed instance's shards are tended again within four seconds.
  // Silence is three heartbeats, so that one that was late or lost costs nothing.
  instances: { heartbeatMs: 1_000, silentAfterMs: 3_000 },
  // A token that was revoked through one instance is refused by the others after a second.
  tokens: { pollIntervalMs: 1_000 },
  // A flush a second finds out whether such a shard is back.
  // The database bounds a batch at 30 s by itself.
  log: { cooldownMs: 1_000, answerWithinMs: 35_000 },
  projector: { pollIntervalMs: 1_000, helpAfterMs: 1_000, retryAfterMs: 200 },
  // Help comes sooner than who asks for a receipt has waited for nothing (HEAD_MS, 5 s): what one
  // instance can't do (its disk is full, it has died just now, it signs under another name) another
  // does.
  transparency: { pollIntervalMs: 1_000, helpAfterMs: 3_000 },
  // A replica nearby has what was committed within one to twenty milliseconds.
  replicas: {
    pollIntervalMs: 1_000,
    behindAfterMs: 500,
    caughtUpWithinMs: 250,
    answerTimeoutMs: 2_000,
  },
  // Proxies close what is idle for 30 s or more.
  streams: {
    pollIntervalMs: 1_000,
    authIntervalMs: 1_000,
    keepAliveMs: 15_000,
    retryAfterMs: 1_000,
  },
  // Who asks has not given up by then.
  places: { waitMs: 5_000 },
  // Many scrapes cost what one a second does.
  metrics: { reuseMs: 1_000 },
  // Containers are killed ten seconds after they were asked to stop. A flush that isn't in the log
  // by then was never acknowledged.
  stop: { drainMs: 5_000, timeoutMs: 1_000 },
}
