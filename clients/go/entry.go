package tallybook

import (
	"encoding/json"
	"maps"
)

// account names what is counted: the id of an API key, or the name of an API key or a token key.
type account struct {
	id   int64
	name string
}

// amounts are counts to add. What is absent is zero.
type amounts struct {
	requests, successRequests, tokens int64
	// lastAccessedAt is in Unix seconds.
	lastAccessedAt int64
	dimensions     map[string]string
	measures       map[string]int64
}

// entry is an account with what was counted for it.
type entry struct {
	account
	amounts
}

// makeEntry copies counts into an entry.
func makeEntry(of account, counts *amounts) entry {
	made := entry{of, *counts}
	// Maps belong to the caller.
	made.dimensions = maps.Clone(counts.dimensions)
	made.measures = maps.Clone(counts.measures)
	return made
}

// add adds counts; false, and nothing is added, if a sum would be inexact.
func (e *entry) add(more *amounts) bool {
	if e.requests+more.requests > maxCount || e.tokens+more.tokens > maxCount {
		return false
	}
	for name, n := range more.measures {
		if e.measures[name]+n > maxCount {
			return false
		}
	}
	e.requests += more.requests
	e.successRequests += more.successRequests
	e.tokens += more.tokens
	e.lastAccessedAt = max(e.lastAccessedAt, more.lastAccessedAt)
	if e.measures == nil {
		e.measures = maps.Clone(more.measures)
		return true
	}
	for name, n := range more.measures {
		e.measures[name] += n
	}
	return true
}

// entryJSON is an entry as it is posted. One of the first three fields is set.
type entryJSON struct {
	APIKeyID        int64             `json:"api_key_id,omitempty"`
	APIKey          string            `json:"api_key,omitempty"`
	TokenHash       string            `json:"token_hash,omitempty"`
	Requests        int64             `json:"requests"`
	SuccessRequests *int64            `json:"success_requests,omitempty"`
	Tokens          *int64            `json:"tokens,omitempty"`
	LastAccessedAt  int64             `json:"last_accessed_at,omitempty"`
	Dimensions      map[string]string `json:"dimensions,omitempty"`
	Measures        map[string]int64  `json:"measures,omitempty"`
}

func (e *entry) format(of kind) ([]byte, error) {
	posted := entryJSON{
		APIKeyID:       e.id,
		Requests:       e.requests,
		LastAccessedAt: e.lastAccessedAt,
		Dimensions:     e.dimensions,
		Measures:       e.measures,
	}
	if of == tokenKeys {
		posted.TokenHash, posted.Tokens = e.name, &e.tokens
	} else {
		posted.APIKey, posted.SuccessRequests = e.name, &e.successRequests
	}
	return json.Marshal(posted)
}

func parseEntry(text []byte) (entry, error) {
	var posted entryJSON
	err := json.Unmarshal(text, &posted)
	parsed := entry{
		account{posted.APIKeyID, posted.APIKey + posted.TokenHash},
		amounts{
			requests:       posted.Requests,
			lastAccessedAt: posted.LastAccessedAt,
			dimensions:     posted.Dimensions,
			measures:       posted.Measures,
		},
	}
	if posted.SuccessRequests != nil {
		parsed.successRequests = *posted.SuccessRequests
	}
	if posted.Tokens != nil {
		parsed.tokens = *posted.Tokens
	}
	return parsed, err
}
