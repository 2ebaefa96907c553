package tallybook

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// sender sends the flushes of a spool, one at a time, until it is stopped.
type sender struct {
	spool    *spool
	counters *counters
	options  *Options
	client   *http.Client
	// stop ends the sender, and abandons the attempt in progress. done is closed after that.
	stop context.CancelFunc
	done chan struct{}
	// wake tells the sender that there is something to do.
	wake chan struct{}

	mutex sync.Mutex
	// drains are closed when the spool is empty.
	drains []chan struct{}
}

func startSender(spool *spool, counters *counters, options *Options) *sender {
	ctx, stop := context.WithCancel(context.Background())
	s := &sender{
		spool:    spool,
		counters: counters,
		options:  options,
		client:   newHTTPClient(),
		stop:     stop,
		done:     make(chan struct{}),
		wake:     make(chan struct{}, 1),
	}
	go s.run(ctx)
	return s
}

// notify tells the sender that the spool has a new flush.
func (s *sender) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// drained waits until the service has every flush that is in the spool now and after that.
func (s *sender) drained(ctx context.Context) error {
	drain := make(chan struct{})
	s.mutex.Lock()
	s.drains = append(s.drains, drain)
	s.mutex.Unlock()
	s.notify()
	select {
	case <-drain:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return ErrClosed
	}
}

// close ends the sender.
func (s *sender) close() {
	s.stop()
	<-s.done
	s.client.CloseIdleConnections()
}

func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	failures := 0
	var drains []chan struct{}
	for ctx.Err() == nil {
		// Who began to wait before the spool was found empty has waited for everything before that.
		drains = append(drains, s.takeDrains()...)
		next, err := s.sendNext(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			s.options.OnError(err)
		}
		switch next.step {
		case idle:
			for _, drain := range drains {
				close(drain)
			}
			drains = nil
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
		case goOn:
			failures = 0
		case tryAgain:
			sleep(ctx, s.options.Backoff.delay(failures, rand.Float64(), next.retryAfter))
			failures++
		}
	}
}

func (s *sender) takeDrains() []chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	drains := s.drains
	s.drains = nil
	return drains
}

// next is what the sender does after an attempt.
type next struct {
	step step
	// retryAfter is the least time to wait before the same flush is tried again.
	retryAfter time.Duration
}

type step int

const (
	tryAgain step = iota
	goOn
	idle
)

// sendNext sends a flush. If it returns an error, the flush is tried again.
func (s *sender) sendNext(ctx context.Context) (next, error) {
	current, err := s.spool.begin()
	if err != nil {
		return next{}, err
	}
	if current == nil {
		return next{step: idle}, nil
	}
	got, err := s.post(ctx, &current.flush, current.flush.Body)
	if err != nil {
		return next{}, err
	}
	if classify(got.status, got.body) == invalidTime {
		if body, hasTime := current.flush.withoutCountedAt(); hasTime {
			s.counters.countAttempt(invalidTime)
			if got, err = s.post(ctx, &current.flush, body); err != nil {
				return next{}, err
			}
		}
	}
	return s.settle(current, got)
}

// post makes an attempt. The error is not nil if there is no answer.
func (s *sender) post(ctx context.Context, posted *flush, body string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	got, err := post(ctx, s.client, s.options.target(), posted, body)
	if err != nil {
		s.counters.countAttempt(unknown)
	}
	return got, err
}

// settle does with a flush what the answer to its attempt requires.
func (s *sender) settle(current *begun, got *answer) (next, error) {
	found := classify(got.status, got.body)
	s.counters.countAttempt(found)
	why := makeReason(got.status, got.body)
	again := next{retryAfter: readRetryAfter(got.retryAfter, time.Now())}
	if found != paused && found != unknown {
		s.resume()
	}
	switch found {
	case accepted:
		if err := s.spool.remove(current.waiting); err != nil {
			return next{}, err
		}
		s.counters.accepted.Add(1)
		return next{step: goOn}, nil
	case tooLarge:
		return s.split(current, why)
	case invalid, invalidTime:
		return s.reject(current, why)
	case paused:
		if current.isCertain {
			if err := s.spool.putBack(current.waiting); err != nil {
				return next{}, err
			}
		}
		s.pause(why)
		return again, nil
	default:
		return again, nil
	}
}

// split divides a flush that is too large, or rejects it if it may be in the log or has one entry.
func (s *sender) split(current *begun, why Reason) (next, error) {
	if !current.isCertain {
		return s.reject(current, why)
	}
	parts, err := split(current.name, &current.flush)
	if err != nil {
		return next{}, err
	}
	if parts == nil {
		return s.reject(current, why)
	}
	if err := s.spool.split(current.waiting, parts); err != nil {
		return next{}, err
	}
	s.counters.split.Add(1)
	return next{step: goOn}, nil
}

func (s *sender) reject(current *begun, why Reason) (next, error) {
	if err := s.spool.reject(current.waiting, why); err != nil {
		return next{}, err
	}
	s.counters.rejected.Add(1)
	s.options.OnRejected(Rejected{current.file, why})
	return next{step: goOn}, nil
}

func (s *sender) pause(why Reason) {
	if !s.counters.isPaused.Swap(true) {
		s.options.OnPause(why)
	}
}

func (s *sender) resume() {
	if s.counters.isPaused.Swap(false) {
		s.options.OnResume()
	}
}

// sleep waits for some time, or until the context ends.
func sleep(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
