package tallybook

import "time"

// APIKey names an API key, by ID or by ExternalID.
type APIKey struct {
	id         int64
	externalID string
}

// ID names an API key by its id.
func ID(id int64) APIKey { return APIKey{id: id} }

// ExternalID names an API key by its external id.
func ExternalID(externalID string) APIKey { return APIKey{externalID: externalID} }

// Counts are counts of an API key. What is absent is zero.
type Counts struct {
	Requests int64
	// SuccessRequests are at most Requests.
	SuccessRequests int64
	// Dimensions and Measures have names that the catalog of the service declares.
	Dimensions map[string]string
	Measures   map[string]int64
}

// TokenCounts are counts of a token key. What is absent is zero.
type TokenCounts struct {
	Requests int64
	Tokens   int64
	// LastAccessedAt is absent if it is the zero time. It counts in whole seconds.
	LastAccessedAt time.Time
	// Dimensions and Measures have names that the catalog of the service declares.
	Dimensions map[string]string
	Measures   map[string]int64
}
