package tallybook

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// service answers flushes as the real one does, and adds up what they count.
type service struct {
	url string

	mutex sync.Mutex
	// requests and measures are by account.
	requests, measures map[string]int64
	keys               map[string]bool
	// cuts is the number of the next answers that break the connection.
	cuts int
}

// serve starts a service. exhausted is the answer to those who follow quotas.
func serve(t *testing.T, exhausted ...string) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{
		url:      "http://" + listener.Addr().String(),
		requests: map[string]int64{},
		measures: map[string]int64{},
		keys:     map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /internal/", s.flush)
	mux.HandleFunc("GET /internal/quota/exhausted", func(w http.ResponseWriter, r *http.Request) {
		for _, block := range exhausted {
			fmt.Fprint(w, block)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

func (s *service) flush(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var posted body
	if err := json.NewDecoder(r.Body).Decode(&posted); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if key := r.Header.Get("Idempotency-Key"); !s.keys[key] {
		s.keys[key] = true
		for _, text := range posted.Keys {
			added, _ := parseEntry(text)
			name := added.name
			if added.id > 0 {
				name = fmt.Sprint(added.id)
			}
			s.requests[name] += added.requests
			for _, n := range added.measures {
				s.measures[name] += n
			}
		}
	}
	if s.cuts > 0 {
		s.cuts--
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `{"updated":%d}`, len(posted.Keys))
}

func (s *service) requestsOf(account string) int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.requests[account]
}

// open opens a client that seals when it is told to.
func open(t *testing.T, s *service, change ...func(*Options)) *Client {
	t.Helper()
	options := Options{
		URL:          s.url,
		Token:        "dp",
		Spool:        t.TempDir(),
		SealInterval: time.Hour,
		Backoff:      Backoff{2 * time.Millisecond, 10 * time.Millisecond},
	}
	for _, apply := range change {
		apply(&options)
	}
	client, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeWithin(client, 0) })
	return client
}

func closeWithin(client *Client, limit time.Duration) Left {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return client.Close(ctx)
}

func expectMetric(t *testing.T, client *Client, sample string) {
	t.Helper()
	if !strings.Contains(client.Metrics(), "\ntallybook_client_"+sample+"\n") {
		t.Errorf("there is no %s in\n%s", sample, client.Metrics())
	}
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not come true within a minute")
		}
	}
}
