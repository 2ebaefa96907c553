package tallybook

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What an answer means, and how long to wait after it. No clock, no network.

// outcome is what an answer of the service, or of something before it, means for a flush.
type outcome string

const (
	// accepted: it is in the log.
	accepted outcome = "accepted"
	// unknown: it may be in the log.
	unknown outcome = "unknown"
	// tooLarge: nothing was appended.
	tooLarge outcome = "too large"
	// invalid: the service will never accept this body.
	invalid outcome = "invalid"
	// invalidTime: as invalid, but it may accept the body without counted_at.
	invalidTime outcome = "invalid time"
	// paused: the service accepts nothing from this client now.
	paused outcome = "paused"
)

// unknownStatuses are those after which the flush may or may not be in the log, besides 5xx.
var unknownStatuses = []int{
	http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
}

func classify(status int, body string) outcome {
	switch {
	case status == http.StatusOK && isAnswer(body):
		return accepted
	case status < 300 || status >= 500 || slices.Contains(unknownStatuses, status):
		return unknown
	case status == http.StatusRequestEntityTooLarge:
		return tooLarge
	case status == http.StatusUnprocessableEntity:
		return invalidTime
	case status != http.StatusBadRequest:
		return paused
	case readText(readObject(body), "error") == "invalid stats payload":
		return invalidTime
	default:
		return invalid
	}
}

// isAnswer is true for the answer to a flush, and not for a page of something between client and
// service.
func isAnswer(body string) bool {
	var updated *float64
	err := json.Unmarshal(readObject(body)["updated"], &updated)
	return err == nil && updated != nil && math.Trunc(*updated) == *updated &&
		math.Abs(*updated) <= maxCount
}

// makeReason reads the members error and detail of problem details; they are empty if absent.
func makeReason(status int, body string) Reason {
	object := readObject(body)
	return Reason{status, readText(object, "error"), readText(object, "detail")}
}

func readText(object map[string]json.RawMessage, name string) string {
	var text string
	_ = json.Unmarshal(object[name], &text)
	return text
}

func readObject(text string) map[string]json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil {
		return nil
	}
	return object
}

// Backoff is the range of the delays after failures in a row: a delay is random, up to First, which
// doubles with each failure up to Longest.
type Backoff struct {
	First, Longest time.Duration
}

// maxRetryAfter is the longest time that an answer may ask to wait.
const maxRetryAfter = time.Hour

// delay returns the time to wait after a number of failures in a row, counted from 0. random is
// from 0 to 1.
func (b Backoff) delay(failures int, random float64, retryAfter time.Duration) time.Duration {
	longest := min(float64(b.Longest), math.Ldexp(float64(b.First), min(failures, 30)))
	return max(time.Duration(random*longest), min(retryAfter, maxRetryAfter))
}

// readRetryAfter reads Retry-After, in seconds or as a date; 0 if it is absent or neither.
func readRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if limit := int64(maxRetryAfter / time.Second); err != nil || seconds > limit {
			seconds = limit
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, date.Sub(now))
}
