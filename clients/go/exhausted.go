package tallybook

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxSilence is how long a connection may be silent: the service sends a comment every 15 s.
const maxSilence = 60 * time.Second

// exhaustedFeed has the token keys whose quota is exhausted, as the service reports them.
type exhaustedFeed struct {
	options *Options
	client  *http.Client
	stop    context.CancelFunc
	done    chan struct{}

	mutex  sync.RWMutex
	hashes map[string]struct{}
}

func startExhaustedFeed(options *Options) *exhaustedFeed {
	ctx, stop := context.WithCancel(context.Background())
	f := &exhaustedFeed{
		options: options,
		client:  newHTTPClient(),
		stop:    stop,
		done:    make(chan struct{}),
	}
	go f.run(ctx)
	return f
}

// has is false for every key until the first list has arrived.
func (f *exhaustedFeed) has(hash string) bool {
	f.mutex.RLock()
	defer f.mutex.RUnlock()
	_, isExhausted := f.hashes[hash]
	return isExhausted
}

func (f *exhaustedFeed) close() {
	f.stop()
	<-f.done
	f.client.CloseIdleConnections()
}

func (f *exhaustedFeed) run(ctx context.Context) {
	defer close(f.done)
	for failures := 0; ctx.Err() == nil; failures++ {
		err := f.follow(ctx, func() { failures = 0 })
		if err != nil && ctx.Err() == nil {
			f.options.OnError(err)
		}
		sleep(ctx, f.options.Backoff.delay(failures, rand.Float64(), 0))
	}
}

// follow follows one connection to its end. The set stays as it is until the list is complete.
func (f *exhaustedFeed) follow(ctx context.Context, onListed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(maxSilence, cancel)
	defer silence.Stop()
	target := f.options.target()
	request, err := newRequest(ctx, http.MethodGet, target, "/internal/quota/exhausted", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("tallybook: exhausted quotas were answered %d", response.StatusCode)
	}
	hashes := map[string]struct{}{}
	lines := bufio.NewScanner(response.Body)
	var event, data string
	for lines.Scan() {
		silence.Reset(maxSilence)
		field, value, _ := strings.Cut(lines.Text(), ":")
		switch {
		case lines.Text() == "":
			isListed, err := f.apply(hashes, event, data)
			if err != nil {
				return err
			}
			if isListed {
				onListed()
			}
			event, data = "", ""
		case field == "event":
			event = strings.TrimSpace(value)
		case field == "data":
			data = strings.TrimSpace(value)
		}
	}
	return lines.Err()
}

// apply applies a server-sent event to a set; true if it says that the list is complete. From then
// on the set is the one that has reads.
func (f *exhaustedFeed) apply(hashes map[string]struct{}, event, data string) (bool, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if event == "listed" {
		f.hashes = hashes
		return true, nil
	}
	if event != "exhausted" && event != "available" {
		return false, nil
	}
	var key struct {
		TokenHash string `json:"token_hash"`
	}
	if err := json.Unmarshal([]byte(data), &key); err != nil {
		return false, err
	}
	if event == "exhausted" {
		hashes[key.TokenHash] = struct{}{}
	} else {
		delete(hashes, key.TokenHash)
	}
	return false, nil
}
