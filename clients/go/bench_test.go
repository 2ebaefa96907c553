package tallybook

import (
	"fmt"
	"testing"
	"time"
)

// The cost of recording: go test -run '^$' -bench . -benchmem

func benchmark(b *testing.B, record func(client *Client, i int)) {
	client, err := Open(Options{
		URL:          "http://127.0.0.1:1",
		Spool:        b.TempDir(),
		SealInterval: time.Hour,
		SealAt:       1 << 30,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer closeWithin(client, 0)
	record(client, 0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		record(client, i)
	}
}

func BenchmarkRecordID(b *testing.B) {
	benchmark(b, func(client *Client, i int) {
		client.Record(ID(int64(1+i%1_000)), Counts{Requests: 1, SuccessRequests: 1})
	})
}

func BenchmarkRecordExternalID(b *testing.B) {
	names := make([]APIKey, 1_000)
	for i := range names {
		names[i] = ExternalID(fmt.Sprintf("sk-%08d", i))
	}
	benchmark(b, func(client *Client, i int) {
		client.Record(names[i%1_000], Counts{Requests: 1, SuccessRequests: 1})
	})
}

func BenchmarkRecordToken(b *testing.B) {
	at := time.Unix(1_700_000_000, 0)
	benchmark(b, func(client *Client, _ int) {
		client.RecordToken("50d858e0", TokenCounts{Requests: 1, Tokens: 200, LastAccessedAt: at})
	})
}

func BenchmarkRecordDimensions(b *testing.B) {
	dimensions := map[string]string{"model": "gpt-5", "status": "ok"}
	measures := map[string]int64{"input_tokens": 12}
	benchmark(b, func(client *Client, i int) {
		client.Record(ID(int64(1+i%1_000)), Counts{
			Requests:   1,
			Dimensions: dimensions,
			Measures:   measures,
		})
	})
}

func BenchmarkRecordParallel(b *testing.B) {
	client, err := Open(Options{
		URL:          "http://127.0.0.1:1",
		Spool:        b.TempDir(),
		SealInterval: time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer closeWithin(client, 0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			client.Record(ID(7), Counts{Requests: 1})
		}
	})
}

func TestRecordingAllocatesNothing(t *testing.T) {
	client := open(t, serve(t))
	counts := Counts{
		Requests:   1,
		Dimensions: map[string]string{"model": "gpt-5", "status": "ok"},
		Measures:   map[string]int64{"input_tokens": 12},
	}
	for _, key := range []APIKey{ID(7), ExternalID("sk-9f")} {
		client.Record(key, Counts{})
		client.Record(key, counts)
		allocations := testing.AllocsPerRun(100, func() {
			client.Record(key, Counts{Requests: 1})
			client.Record(key, counts)
		})
		if allocations != 0 {
			t.Errorf("%v: %v allocations", key, allocations)
		}
	}
}
