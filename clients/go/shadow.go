package tallybook

import (
	"context"
	"net/http"
	"time"
)

// maxInFlight is the most requests to a shadow at a time.
const maxInFlight = 4

// shadow is a second service that gets each flush once. Its answers and failures never matter.
type shadow struct {
	target  Target
	client  *http.Client
	timeout time.Duration
	// inFlight has a place for each request in progress.
	inFlight chan struct{}
}

func newShadow(target Target, timeout time.Duration) *shadow {
	return &shadow{target, newHTTPClient(), timeout, make(chan struct{}, maxInFlight)}
}

// post posts a flush without waiting, or skips it if too many are in progress.
func (s *shadow) post(sealed *flush) {
	select {
	case s.inFlight <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-s.inFlight }()
		ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
		defer cancel()
		_, _ = post(ctx, s.client, s.target, sealed, sealed.Body)
	}()
}
