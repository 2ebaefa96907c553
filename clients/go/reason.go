package tallybook

import "time"

// Reason says why the service refused a flush.
type Reason struct {
	// Status of the answer; 0 if the flush was given up without one.
	Status int
	// Error and Detail are members of the answer's problem details; empty if absent.
	Error, Detail string
}

// Rejected is a flush that was moved to rejected.
type Rejected struct {
	// File is the name of the file.
	File string
	Reason
}

// reasonFile is the content of the file beside a rejected flush. What is absent is null.
type reasonFile struct {
	Status *int    `json:"status"`
	Error  *string `json:"error"`
	Detail *string `json:"detail"`
	// RejectedAt is in Unix seconds.
	RejectedAt int64 `json:"rejected_at"`
}

func (r Reason) file(now time.Time) reasonFile {
	return reasonFile{orNil(r.Status), orNil(r.Error), orNil(r.Detail), now.Unix()}
}

func orNil[Value comparable](value Value) *Value {
	var zero Value
	if value == zero {
		return nil
	}
	return &value
}
