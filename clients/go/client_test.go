package tallybook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a client does besides flushes: its input, its lock, its disk, its shadow, and quotas. The
// tests of test/clients run it against a real service.

func TestGoroutinesRecordAtOnce(t *testing.T) {
	s := serve(t)
	client := open(t, s, func(o *Options) { o.SealInterval, o.SealAt = time.Millisecond, 3 })
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range 2_000 {
				client.Record(ID(int64(1+i%5)), Counts{Requests: 1})
				client.RecordToken("alice", TokenCounts{
					Requests:   1,
					Dimensions: map[string]string{"model": fmt.Sprint(i % 3)},
					Measures:   map[string]int64{"cost": 2},
				})
			}
		}()
	}
	all.Wait()
	if left := closeWithin(client, time.Minute); left != (Left{}) {
		t.Errorf("left: %+v", left)
	}
	for id := 1; id <= 5; id++ {
		if found := s.requestsOf(fmt.Sprint(id)); found != 3_200 {
			t.Errorf("%d: %d requests", id, found)
		}
	}
	if s.requestsOf("alice") != 16_000 || s.measures["alice"] != 32_000 {
		t.Errorf("alice: %d requests, %v", s.requestsOf("alice"), s.measures)
	}
	expectMetric(t, client, "recorded_total 32000")
	expectMetric(t, client, "dropped_total 0")
}

func TestInputThatTheServiceWouldRefuseIsDropped(t *testing.T) {
	s := serve(t)
	client := open(t, s)
	keys := []APIKey{
		{}, ID(0), ID(-1), ID(1 << 53), ExternalID(""), ExternalID(" a"), ExternalID("a\ufeff"),
		ExternalID("a\x00"), ExternalID("\xff"), ExternalID(strings.Repeat("a", 256)),
		ExternalID(strings.Repeat("😀", 128)),
	}
	for _, key := range keys {
		client.Record(key, Counts{Requests: 1})
	}
	refused := []Counts{
		{Requests: -1},
		{Requests: 1 << 53},
		{Requests: 1, SuccessRequests: 2},
		{Requests: 1, Dimensions: map[string]string{"Model": "a"}},
		{Requests: 1, Dimensions: map[string]string{"model": ""}},
		{Requests: 1, Dimensions: map[string]string{"model": "other"}},
		{Requests: 1, Dimensions: map[string]string{"model": strings.Repeat("a", 65)}},
		{Requests: 1, Measures: map[string]int64{"": 1}},
		{Requests: 1, Measures: map[string]int64{"cost": -1}},
	}
	for _, counts := range refused {
		client.Record(ID(7), counts)
	}
	client.RecordToken("alice", TokenCounts{Requests: 1, LastAccessedAt: time.Unix(1e15, 0)})
	client.RecordToken("alice", TokenCounts{Requests: 1, LastAccessedAt: time.Unix(-1, 0)})
	client.Record(ID(7), Counts{Requests: maxCount - 1})
	client.Record(ID(7), Counts{Requests: 2})
	client.Record(ExternalID(strings.Repeat("ä", 255)), Counts{Requests: 1})
	dropped := len(keys) + len(refused) + 3
	expectMetric(t, client, fmt.Sprintf("dropped_total %d", dropped))
	expectMetric(t, client, "recorded_total 2")
	if left := closeWithin(client, time.Minute); left != (Left{}) {
		t.Errorf("left: %+v", left)
	}
	client.Record(ID(7), Counts{Requests: 1})
	expectMetric(t, client, fmt.Sprintf("dropped_total %d", dropped+1))
	if err := client.Seal(); !errors.Is(err, ErrClosed) {
		t.Errorf("a seal after the end: %v", err)
	}
	if s.requestsOf("7") != maxCount-1 || len(s.requests) != 2 {
		t.Errorf("%v", s.requests)
	}
}

func TestASpoolBelongsToOneClientAtATime(t *testing.T) {
	s := serve(t)
	client := open(t, s)
	again := client.options
	if _, err := Open(again); !errors.Is(err, ErrSpoolInUse) {
		t.Errorf("another client of this process: %v", err)
	}
	lock := filepath.Join(again.Spool, "lock")
	held, _ := os.ReadFile(lock)
	other := strings.Replace(string(held), fmt.Sprint(os.Getpid()), fmt.Sprint(os.Getppid()), 1)
	_ = os.WriteFile(lock, []byte(other), 0o600)
	if _, err := Open(again); !errors.Is(err, ErrSpoolInUse) {
		t.Errorf("another process that lives: %v", err)
	}
	_ = os.WriteFile(lock, held, 0o600)
	closeWithin(client, 0)
	// A process with the same id, in a container that was started again.
	_ = os.WriteFile(lock, held, 0o600)
	next, err := Open(again)
	if err != nil {
		t.Fatalf("after the first has closed: %v", err)
	}
	closeWithin(next, 0)
	// A lock that a power failure has torn: its age decides.
	for _, torn := range []string{"", "null", `{"pid":`} {
		_ = os.WriteFile(lock, []byte(torn), 0o600)
		if _, err := Open(again); !errors.Is(err, ErrSpoolInUse) {
			t.Errorf("a new lock %q: %v", torn, err)
		}
		_ = os.Chtimes(lock, time.Unix(0, 0), time.Unix(0, 0))
		next, err := Open(again)
		if err != nil {
			t.Fatalf("an old lock %q: %v", torn, err)
		}
		closeWithin(next, 0)
	}
}

func TestCountsThatTheDiskRefusesReturnToMemory(t *testing.T) {
	s := serve(t)
	var failures []error
	client := open(t, s, func(o *Options) {
		o.OnError = func(err error) { failures = append(failures, err) }
	})
	sealed, away := filepath.Join(client.options.Spool, "sealed"), filepath.Join(t.TempDir(), "away")
	client.Record(ID(7), Counts{Requests: 1})
	if err := os.Rename(sealed, away); err != nil {
		t.Fatal(err)
	}
	if client.Seal() == nil || len(failures) != 1 {
		t.Errorf("the seal did not fail once: %v", failures)
	}
	expectMetric(t, client, "accumulators 1")
	client.Record(ID(7), Counts{Requests: 2})
	if err := os.Rename(away, sealed); err != nil {
		t.Fatal(err)
	}
	if err := client.Seal(); err != nil {
		t.Error(err)
	}
	if left := closeWithin(client, time.Minute); left != (Left{}) {
		t.Errorf("left: %+v", left)
	}
	if s.requestsOf("7") != 3 {
		t.Errorf("%v", s.requests)
	}
	// The flush with the counts, and the last one of its epoch.
	expectMetric(t, client, "sealed_total 2")
}

func TestADiskThatRefusesManyCountsIsNotAskedWithEveryCall(t *testing.T) {
	s := serve(t)
	client := open(t, s, func(o *Options) { o.SealAt = 2 })
	sealed, away := filepath.Join(client.options.Spool, "sealed"), filepath.Join(t.TempDir(), "away")
	if err := os.Rename(sealed, away); err != nil {
		t.Fatal(err)
	}
	client.Record(ID(1), Counts{Requests: 1})
	client.Record(ID(2), Counts{Requests: 1})
	failures := &client.counters.sealFailures
	until(t, func() bool { return failures.Load() > 0 && client.unsealed() == 2 })
	for id := range int64(1_000) {
		client.Record(ID(1+id), Counts{Requests: 1})
		runtime.Gosched()
	}
	if err := os.Rename(away, sealed); err != nil {
		t.Fatal(err)
	}
	if left := closeWithin(client, time.Minute); left != (Left{}) {
		t.Errorf("left: %+v", left)
	}
	expectMetric(t, client, "seal_failures_total 1")
	if s.requestsOf("1") != 2 || s.requestsOf("1000") != 1 {
		t.Errorf("%v", s.requests)
	}
}

func TestAShadowGetsEachFlushAndNeverMatters(t *testing.T) {
	s, other := serve(t), serve(t)
	client := open(t, s, func(o *Options) { o.Shadow = &Target{URL: other.url} })
	client.Record(ID(7), Counts{Requests: 1})
	if left := closeWithin(client, time.Minute); left != (Left{}) {
		t.Errorf("left: %+v", left)
	}
	until(t, func() bool { return other.requestsOf("7") == 1 })
	away := open(t, s, func(o *Options) { o.Shadow = &Target{URL: "http://127.0.0.1:1"} })
	away.Record(ID(7), Counts{Requests: 1})
	if left := closeWithin(away, time.Minute); left != (Left{}) {
		t.Errorf("left without the shadow: %+v", left)
	}
}

func TestIsExhaustedFollowsTheQuotas(t *testing.T) {
	s := serve(t,
		"event: exhausted\ndata: {\"token_hash\":\"alice\"}\n\n",
		": comment\n\nevent: exhausted\ndata: {\"token_hash\":\"bob\"}\n\n",
		"event: listed\ndata: {}\n\n",
		"event: available\ndata: {\"token_hash\":\"alice\"}\n\n",
	)
	client := open(t, s, func(o *Options) { o.FollowExhausted = true })
	until(t, func() bool { return client.IsExhausted("bob") && !client.IsExhausted("alice") })
	if open(t, s).IsExhausted("bob") {
		t.Error("a client that does not follow quotas knows one")
	}
}

func TestAnAttemptIsOneRequest(t *testing.T) {
	s := serve(t)
	client := open(t, s)
	record := func() {
		client.Record(ID(7), Counts{Requests: 1})
		if err := client.Seal(); err != nil {
			t.Fatal(err)
		}
		_ = client.Drained(context.Background())
	}
	// The second flush has the connection of the first, which breaks after the service has the flush.
	record()
	s.mutex.Lock()
	s.cuts = 1
	s.mutex.Unlock()
	record()
	expectMetric(t, client, `attempts_total{outcome="accepted"} 2`)
	expectMetric(t, client, `attempts_total{outcome="unknown"} 1`)
	if s.requestsOf("7") != 2 {
		t.Errorf("%v", s.requests)
	}
}

func TestAPauseIsReportedOnceAndAPanicOfACallbackIsHarmless(t *testing.T) {
	var paused, resumed int
	refuses := true
	server := serve(t)
	gate := http.NewServeMux()
	var mutex sync.Mutex
	gate.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		if refuses {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		server.flush(w, r)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = http.Serve(listener, gate) }()
	t.Cleanup(func() { _ = listener.Close() })
	client := open(t, server, func(o *Options) {
		o.URL = "http://" + listener.Addr().String()
		o.OnPause = func(Reason) { paused++; panic("a callback") }
		o.OnResume = func() { resumed++ }
	})
	client.Record(ID(7), Counts{Requests: 1})
	if err := client.Seal(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return strings.Contains(client.Metrics(), `{outcome="refused"} 3`) })
	expectMetric(t, client, "paused 1")
	mutex.Lock()
	refuses = false
	mutex.Unlock()
	if left := closeWithin(client, time.Minute); left != (Left{}) {
		t.Errorf("left: %+v", left)
	}
	if paused != 1 || resumed != 1 || server.requestsOf("7") != 1 {
		t.Errorf("paused %d, resumed %d, %v", paused, resumed, server.requests)
	}
}
