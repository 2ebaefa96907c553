package tallybook

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	mathrand "math/rand/v2"
)

var (
	// ErrSpoolInUse says that another client uses the spool directory.
	ErrSpoolInUse = errors.New("tallybook: another client uses the spool")
	// ErrClosed says that the client was closed before.
	ErrClosed = errors.New("tallybook: the client is closed")
)

// Left is what a closed client leaves behind.
type Left struct {
	// Flushes are in the spool. The next start sends them.
	Flushes int
	// Unsealed accounts and dimensions were refused by the disk: their counts are lost with the
	// process.
	Unsealed int
	// Rejected flushes were moved to rejected by this client.
	Rejected int
}

// Client counts in memory, seals to a spool directory, and posts each flush exactly once. All
// methods are safe for concurrent use.
type Client struct {
	options     Options
	spool       *spool
	sender      *sender
	shadow      *shadow
	exhausted   *exhaustedFeed
	counters    counters
	api, tokens sequence

	// sealDue tells the client to seal before the interval ends.
	sealDue chan struct{}
	// stopping is closed to end the sealing at intervals; done is closed after that.
	stopping, done chan struct{}

	// sealing is locked during a seal. It covers the sequences and isClosed.
	sealing  sync.Mutex
	isClosed bool

	closing sync.Once
	left    Left
}

// sequence is what is not yet sealed of one kind of keys, and where its flushes go.
type sequence struct {
	kind  kind
	epoch string
	next  int64
	*accumulators
}

// Open starts a client, which first sends what an earlier one left in the spool. It fails if an
// option can't work or the directory can't be written, and with ErrSpoolInUse if another client
// uses it.
func Open(options Options) (*Client, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	epoch := hex.EncodeToString(random[:])
	spool, err := openSpool(options.Spool, epoch)
	if err != nil {
		return nil, err
	}
	c := &Client{
		options:  options,
		spool:    spool,
		api:      sequence{apiKeys, epoch + "." + string(apiKeys), 0, newAccumulators()},
		tokens:   sequence{tokenKeys, epoch + "." + string(tokenKeys), 0, newAccumulators()},
		sealDue:  make(chan struct{}, 1),
		stopping: make(chan struct{}),
		done:     make(chan struct{}),
	}
	c.sender = startSender(spool, &c.counters, &c.options)
	if options.Shadow != nil {
		c.shadow = newShadow(*options.Shadow, options.Timeout)
	}
	if options.FollowExhausted {
		c.exhausted = startExhaustedFeed(&c.options)
	}
	go c.sealAtIntervals()
	return c, nil
}

// Record counts for an API key. It adds to numbers in memory, and drops input that the service
// would refuse. The maps of counts may be used again afterwards.
func (c *Client) Record(key APIKey, counts Counts) {
	if !key.isValid() || !counts.areValid() {
		c.counters.dropped.Add(1)
		return
	}
	c.add(&c.api, account{key.id, key.externalID}, &amounts{
		requests:        counts.Requests,
		successRequests: counts.SuccessRequests,
		dimensions:      counts.Dimensions,
		measures:        counts.Measures,
	})
}

// RecordToken counts for a token key, as Record does.
func (c *Client) RecordToken(hash string, counts TokenCounts) {
	if !isName(hash) || !counts.areValid() {
		c.counters.dropped.Add(1)
		return
	}
	added := amounts{
		requests:   counts.Requests,
		tokens:     counts.Tokens,
		dimensions: counts.Dimensions,
		measures:   counts.Measures,
	}
	if !counts.LastAccessedAt.IsZero() {
		added.lastAccessedAt = counts.LastAccessedAt.Unix()
	}
	c.add(&c.tokens, account{name: hash}, &added)
}

func (c *Client) add(to *sequence, key account, counts *amounts) {
	size := to.add(key, counts)
	if size == 0 {
		c.counters.dropped.Add(1)
		return
	}
	c.counters.recorded.Add(1)
	if size < c.options.SealAt {
		return
	}
	select {
	case c.sealDue <- struct{}{}:
	default:
	}
}

// IsExhausted is true if the quota of a token key is exhausted, as far as the service has reported
// it. It is false for every key unless FollowExhausted is set.
func (c *Client) IsExhausted(hash string) bool {
	return c.exhausted != nil && c.exhausted.has(hash)
}

// Seal seals now what was recorded. If it returns nil, all of it is on the disk and survives the
// process.
func (c *Client) Seal() error {
	return c.seal(false)
}

// Drained waits until the service has every flush that was sealed before. It returns the error of
// the context if that ends first, or ErrClosed.
func (c *Client) Drained(ctx context.Context) error {
	return c.sender.drained(ctx)
}

// Metrics returns the metrics of this client in the text format of Prometheus.
func (c *Client) Metrics() string {
	return c.counters.format(gauges{
		accumulators: int64(c.unsealed()),
		flushes:      c.spool.size.Load(),
		bytes:        c.spool.bytes.Load(),
	})
}

// Close seals, sends until the context ends or nothing is left, and returns what is left. What is
// recorded after it is dropped. Only the first call has an effect.
func (c *Client) Close(ctx context.Context) Left {
	c.closing.Do(func() {
		// From here on nothing is recorded, so that the last seal has everything.
		c.api.close()
		c.tokens.close()
		close(c.stopping)
		<-c.done
		_ = c.seal(true)
		_ = c.sender.drained(ctx)
		c.sender.close()
		if c.exhausted != nil {
			c.exhausted.close()
		}
		c.spool.close()
		c.left = Left{
			Flushes:  int(c.spool.size.Load()),
			Unsealed: c.unsealed(),
			Rejected: int(c.counters.rejected.Load()),
		}
	})
	return c.left
}

// sealAtIntervals seals after each interval ± 20 %, so that proxies don't post in step.
func (c *Client) sealAtIntervals() {
	defer close(c.done)
	due := c.sealDue
	for {
		interval := float64(c.options.SealInterval) * (0.8 + 0.4*mathrand.Float64())
		timer := time.NewTimer(time.Duration(interval))
		select {
		case <-timer.C:
		case <-due:
		case <-c.stopping:
			timer.Stop()
			return
		}
		timer.Stop()
		due = c.sealDue
		if c.seal(false) != nil {
			// A disk that has refused many counts is not asked again with every call.
			due = nil
		}
	}
}

// seal seals what was recorded. isLast marks the end of the epochs.
func (c *Client) seal(isLast bool) error {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	if c.isClosed {
		return ErrClosed
	}
	c.isClosed = isLast
	err := errors.Join(c.sealKind(&c.api, isLast), c.sealKind(&c.tokens, isLast))
	merged, mergeErr := c.spool.mergeIfAbove(c.options.SpoolLimits, c.options.Instance)
	c.counters.merged.Add(merged)
	if mergeErr != nil {
		c.options.OnError(mergeErr)
	}
	return err
}

// sealKind seals one kind. If the disk refuses the flush, its counts are part of the next one.
func (c *Client) sealKind(of *sequence, isLast bool) error {
	entries := of.take()
	if len(entries) == 0 && !(isLast && of.next > 0) {
		return nil
	}
	name := flushName{epoch: of.epoch, first: of.next, last: of.next}
	sealed, err := seal(c.options.Instance, of.kind, name, time.Now().Unix(), entries, isLast)
	if err == nil {
		err = c.spool.seal(name, &sealed)
	}
	if err != nil {
		c.counters.sealFailures.Add(1)
		c.counters.dropped.Add(int64(of.restore(entries)))
		c.options.OnError(err)
		return err
	}
	of.next++
	c.counters.sealed.Add(1)
	if c.shadow != nil {
		c.shadow.post(&sealed)
	}
	c.sender.notify()
	return nil
}

// unsealed returns the number of accounts and dimensions in memory.
func (c *Client) unsealed() int {
	return c.api.size() + c.tokens.size()
}
