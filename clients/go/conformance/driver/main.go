//go:build unix

// Driver runs a client for the conformance tests: see clients/conformance/README.md for the
// protocol.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	tallybook "github.com/tallybook/tallybook/clients/go"
	"github.com/tallybook/tallybook/clients/go/internal/disk"
)

type options struct {
	URL            string `json:"url"`
	Token          string `json:"token"`
	Spool          string `json:"spool"`
	Instance       string `json:"instance"`
	SealIntervalMs int64  `json:"seal_interval_ms"`
	TimeoutMs      int64  `json:"timeout_ms"`
	Backoff        struct {
		FirstMs   int64 `json:"first_ms"`
		LongestMs int64 `json:"longest_ms"`
	} `json:"backoff"`
	SpoolLimits struct {
		Flushes int   `json:"flushes"`
		Bytes   int64 `json:"bytes"`
	} `json:"spool_limits"`
	KillAt int64 `json:"kill_at"`
}

type counts struct {
	Requests        int64             `json:"requests"`
	SuccessRequests int64             `json:"success_requests"`
	Tokens          int64             `json:"tokens"`
	LastAccessedAt  int64             `json:"last_accessed_at"`
	Dimensions      map[string]string `json:"dimensions"`
	Measures        map[string]int64  `json:"measures"`
}

type command struct {
	Op         string          `json:"op"`
	Key        json.RawMessage `json:"key"`
	Counts     counts          `json:"counts"`
	DeadlineMs *int64          `json:"deadline_ms"`
}

func main() {
	var given options
	if err := json.Unmarshal([]byte(os.Args[len(os.Args)-1]), &given); err != nil {
		log.Fatal(err)
	}
	if given.KillAt > 0 {
		killAt(given.KillAt)
	}
	client, err := open(given)
	if err != nil {
		log.Fatal(err)
	}
	commands := json.NewDecoder(os.Stdin)
	for {
		var next command
		if err := commands.Decode(&next); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		answer := run(client, next)
		answer["op"] = next.Op
		emit(answer)
	}
}

// killAt kills this process before its n-th change of the disk; a write is torn in the middle.
func killAt(n int64) {
	var changes atomic.Int64
	disk.Intercept = func(tear func()) {
		if changes.Add(1) != n {
			return
		}
		if tear != nil {
			tear()
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func open(given options) (*tallybook.Client, error) {
	return tallybook.Open(tallybook.Options{
		URL:          given.URL,
		Token:        given.Token,
		Spool:        given.Spool,
		Instance:     given.Instance,
		SealInterval: milliseconds(given.SealIntervalMs),
		Timeout:      milliseconds(given.TimeoutMs),
		Backoff: tallybook.Backoff{
			First:   milliseconds(given.Backoff.FirstMs),
			Longest: milliseconds(given.Backoff.LongestMs),
		},
		SpoolLimits: tallybook.Limits(given.SpoolLimits),
		OnRejected: func(rejected tallybook.Rejected) {
			line := describe("rejected", rejected.Reason)
			line["file"] = rejected.File
			emit(line)
		},
		OnPause:  func(why tallybook.Reason) { emit(describe("paused", why)) },
		OnResume: func() { emit(line{"event": "resumed"}) },
	})
}

func run(client *tallybook.Client, next command) line {
	switch next.Op {
	case "record":
		client.Record(readKey(next.Key), tallybook.Counts{
			Requests:        next.Counts.Requests,
			SuccessRequests: next.Counts.SuccessRequests,
			Dimensions:      next.Counts.Dimensions,
			Measures:        next.Counts.Measures,
		})
		return line{}
	case "record_token":
		recordToken(client, next)
		return line{}
	case "seal":
		return line{"sealed": client.Seal() == nil}
	case "drained":
		_ = client.Drained(context.Background())
		return line{}
	case "metrics":
		return line{"text": client.Metrics()}
	case "close":
		deadline := 10 * time.Second
		if next.DeadlineMs != nil {
			deadline = milliseconds(*next.DeadlineMs)
		}
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		left := client.Close(ctx)
		return line{"flushes": left.Flushes, "unsealed": left.Unsealed, "rejected": left.Rejected}
	}
	log.Fatalf("there is no command %s", next.Op)
	return nil
}

// readKey reads an id or an external id.
func readKey(text json.RawMessage) tallybook.APIKey {
	var externalID string
	if json.Unmarshal(text, &externalID) == nil {
		return tallybook.ExternalID(externalID)
	}
	var id int64
	_ = json.Unmarshal(text, &id)
	return tallybook.ID(id)
}

func recordToken(client *tallybook.Client, next command) {
	var hash string
	_ = json.Unmarshal(next.Key, &hash)
	recorded := tallybook.TokenCounts{
		Requests:   next.Counts.Requests,
		Tokens:     next.Counts.Tokens,
		Dimensions: next.Counts.Dimensions,
		Measures:   next.Counts.Measures,
	}
	if next.Counts.LastAccessedAt > 0 {
		recorded.LastAccessedAt = time.Unix(next.Counts.LastAccessedAt, 0)
	}
	client.RecordToken(hash, recorded)
}

// line is printed as JSON.
type line map[string]any

func describe(event string, why tallybook.Reason) line {
	return line{"event": event, "status": why.Status, "error": why.Error, "detail": why.Detail}
}

var printing sync.Mutex

func emit(printed line) {
	printing.Lock()
	defer printing.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(printed)
}

func milliseconds(n int64) time.Duration {
	return time.Duration(n) * time.Millisecond
}
