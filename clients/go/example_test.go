package tallybook_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	tallybook "github.com/tallybook/tallybook/clients/go"
)

func Example() {
	client, err := tallybook.Open(tallybook.Options{
		URL:      "https://tallybook.example.com",
		Token:    os.Getenv("TALLYBOOK_DP_TOKEN"),
		Instance: "proxy-eu-1",
		Spool:    "/var/lib/proxy/tallybook",
	})
	if err != nil {
		log.Fatal(err)
	}
	client.Record(tallybook.ID(7), tallybook.Counts{Requests: 1, SuccessRequests: 1})
	client.Record(tallybook.ExternalID("sk-9f"), tallybook.Counts{
		Requests:        1,
		SuccessRequests: 1,
		Dimensions:      map[string]string{"model": "gpt-5"},
		Measures:        map[string]int64{"input_tokens": 12},
	})
	client.RecordToken("50d858e0", tallybook.TokenCounts{
		Requests:       1,
		Tokens:         200,
		LastAccessedAt: time.Now(),
	})
}

func ExampleClient_Close() {
	var client *tallybook.Client

	stopped, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	<-stopped.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if left := client.Close(ctx); left.Unsealed > 0 {
		log.Fatalf("the disk refused the counts of %d accounts", left.Unsealed)
	}
}

func ExampleClient_Metrics() {
	var client *tallybook.Client

	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, client.Metrics())
	})
}
