package tallybook

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The sealed flush: its file, its name, and how flushes contain each other. No clock, no disk.

// kind is what a flush counts. Each kind goes to another route, with a sequence of its own.
type kind string

const (
	apiKeys   kind = "api"
	tokenKeys kind = "token"
)

// path returns the route of a kind.
func (k kind) path() string {
	if k == apiKeys {
		return "/internal/apikey-stats/flush"
	}
	return "/internal/stats/flush"
}

// flush is the content of a file of the spool. It never changes.
type flush struct {
	Version int    `json:"version"`
	Path    string `json:"path"`
	Key     string `json:"key"`
	// Sequence is the value of Tallybook-Sequence; nil in a part that does not carry it.
	Sequence *string `json:"sequence"`
	// SealedAt is in Unix seconds.
	SealedAt int64 `json:"sealed_at"`
	// Body is the text that is posted.
	Body string `json:"body"`
}

// flushName is what the name of a file says: `9f86d081884c.api_000000000005-000000000006.1.json`.
type flushName struct {
	epoch       string
	first, last int64
	parts       []int
}

// file returns the name of the file.
func (n flushName) file() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s_%012d", n.epoch, n.first)
	if n.first != n.last {
		fmt.Fprintf(&text, "-%012d", n.last)
	}
	for _, part := range n.parts {
		fmt.Fprintf(&text, ".%d", part)
	}
	text.WriteString(".json")
	return text.String()
}

// sequence returns the epoch and the range of sequence numbers as in headers: `…/5`, or `…/5-6`.
func (n flushName) sequence() string {
	if n.first == n.last {
		return fmt.Sprintf("%s/%d", n.epoch, n.first)
	}
	return fmt.Sprintf("%s/%d-%d", n.epoch, n.first, n.last)
}

// parseName reads the name of a file; false if it is no flush.
func parseName(file string) (flushName, bool) {
	epoch, rest, _ := strings.Cut(strings.TrimSuffix(file, ".json"), "_")
	fields := strings.Split(rest, ".")
	from, through, isRange := strings.Cut(fields[0], "-")
	if !isRange {
		through = from
	}
	first, errFirst := strconv.ParseInt(from, 10, 64)
	last, errLast := strconv.ParseInt(through, 10, 64)
	if !isEpoch(epoch) || errFirst != nil || errLast != nil {
		return flushName{}, false
	}
	name := flushName{epoch: epoch, first: first, last: last}
	for _, field := range fields[1:] {
		part, err := strconv.Atoi(field)
		if err != nil || part < 0 {
			return flushName{}, false
		}
		name.parts = append(name.parts, part)
	}
	// Other ways to write the same name, such as numbers that are not padded, are no flushes.
	return name, name.file() == file
}

// isEpoch is true for twelve hexadecimal digits and a kind.
func isEpoch(epoch string) bool {
	id, of, _ := strings.Cut(epoch, ".")
	isHex := len(id) == 12 && strings.Trim(id, "0123456789abcdef") == ""
	return isHex && (kind(of) == apiKeys || kind(of) == tokenKeys)
}

// contains is true if what other counts is counted by n too. A flush does not contain itself.
func (n flushName) contains(other flushName) bool {
	if n.epoch != other.epoch {
		return false
	}
	if n.first != other.first || n.last != other.last {
		return len(n.parts) == 0 && n.first <= other.first && other.last <= n.last
	}
	if len(n.parts) >= len(other.parts) {
		return false
	}
	for level, part := range n.parts {
		if part != other.parts[level] {
			return false
		}
	}
	return true
}

// namedFlush is a flush with its name.
type namedFlush struct {
	name  flushName
	flush flush
}

// seal makes a flush of entries. isLast marks the end of its epoch.
func seal(
	instance string, of kind, name flushName, sealedAt int64, entries []entry, isLast bool,
) (flush, error) {
	keys := make([]json.RawMessage, len(entries))
	for i := range entries {
		text, err := entries[i].format(of)
		if err != nil {
			return flush{}, err
		}
		keys[i] = text
	}
	sequence := name.sequence()
	key := instance + "/" + sequence
	if isLast {
		sequence += lastMark
	}
	text, err := body{CountedAt: &sealedAt, Keys: keys}.format()
	return flush{1, of.path(), key, &sequence, sealedAt, text}, err
}

// lastMark ends the sequence of the last flush of an epoch.
const lastMark = ";last"

// body is what a flush posts. Its entries are kept as they were written.
type body struct {
	CountedAt *int64            `json:"counted_at,omitempty"`
	Keys      []json.RawMessage `json:"keys"`
}

func (b body) format() (string, error) {
	text, err := json.Marshal(b)
	return string(text), err
}

func (f *flush) parseBody() (body, error) {
	var parsed body
	err := json.Unmarshal([]byte(f.Body), &parsed)
	return parsed, err
}

// withoutCountedAt returns the body without the time at which it was counted; false if it states
// none.
func (f *flush) withoutCountedAt() (string, bool) {
	parsed, err := f.parseBody()
	if err != nil || parsed.CountedAt == nil {
		return "", false
	}
	text, err := body{Keys: parsed.Keys}.format()
	return text, err == nil
}

// split divides a flush into halves, the last of which carries the sequence; nil if it has one
// entry.
func split(name flushName, whole *flush) ([]namedFlush, error) {
	parsed, err := whole.parseBody()
	if err != nil || len(parsed.Keys) < 2 {
		return nil, err
	}
	middle := (len(parsed.Keys) + 1) / 2
	halves := [][]json.RawMessage{parsed.Keys[:middle], parsed.Keys[middle:]}
	parts := make([]namedFlush, len(halves))
	for i, half := range halves {
		part := *whole
		part.Key = fmt.Sprintf("%s.%d", whole.Key, i+1)
		if i == 0 {
			part.Sequence = nil
		}
		if part.Body, err = (body{CountedAt: parsed.CountedAt, Keys: half}).format(); err != nil {
			return nil, err
		}
		partName := name
		partName.parts = append(append([]int{}, name.parts...), i+1)
		parts[i] = namedFlush{partName, part}
	}
	return parts, nil
}

// parseFlush reads the content of a file; false if it is no flush.
func parseFlush(text []byte) (flush, bool) {
	var parsed flush
	err := json.Unmarshal(text, &parsed)
	isComplete := parsed.Version == 1 && parsed.Path != "" && parsed.Key != "" && parsed.Body != ""
	return parsed, err == nil && isComplete
}
