package tallybook

import (
	"encoding/binary"
	"slices"
	"sync"
)

// What is counted and not yet sealed, for one kind of keys.

// table adds up entries by account and dimensions.
type table struct {
	entries []entry
	// The maps have positions in entries.
	byID   map[int64]int
	byName map[string]int
	// byDimensions has the entries with dimensions, by a text of the account and the dimensions.
	byDimensions map[string]int
}

// newTable makes a table that expects a number of entries.
func newTable(entries int) *table {
	return &table{
		entries:      make([]entry, 0, entries),
		byID:         make(map[int64]int),
		byName:       make(map[string]int),
		byDimensions: make(map[string]int),
	}
}

// add adds counts in constant time; false, and nothing is added, if a sum would be inexact.
func (t *table) add(to account, counts *amounts) bool {
	if len(counts.dimensions) > 0 {
		var space [256]byte
		text := appendText(space[:0], to, counts.dimensions)
		if at, isThere := t.byDimensions[string(text)]; isThere {
			return t.entries[at].add(counts)
		}
		t.byDimensions[string(text)] = t.put(to, counts)
		return true
	}
	if to.id != 0 {
		if at, isThere := t.byID[to.id]; isThere {
			return t.entries[at].add(counts)
		}
		t.byID[to.id] = t.put(to, counts)
		return true
	}
	if at, isThere := t.byName[to.name]; isThere {
		return t.entries[at].add(counts)
	}
	t.byName[to.name] = t.put(to, counts)
	return true
}

// put appends an entry and returns its position.
func (t *table) put(of account, counts *amounts) int {
	t.entries = append(t.entries, makeEntry(of, counts))
	return len(t.entries) - 1
}

// appendText appends a text that is equal for equal accounts and dimensions. Names and values
// contain no NUL.
func appendText(text []byte, of account, dimensions map[string]string) []byte {
	text = binary.BigEndian.AppendUint64(text, uint64(of.id))
	text = append(append(text, of.name...), 0)
	var space [8]string
	names := space[:0]
	for name := range dimensions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text = append(append(text, name...), 0)
		text = append(append(text, dimensions[name]...), 0)
	}
	return text
}

// accumulators is a table for many goroutines.
type accumulators struct {
	mutex    sync.Mutex
	table    *table
	isClosed bool
}

func newAccumulators() *accumulators {
	return &accumulators{table: newTable(0)}
}

// add returns the number of entries, or 0 if the counts were not added.
func (a *accumulators) add(to account, counts *amounts) int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.isClosed || !a.table.add(to, counts) {
		return 0
	}
	return len(a.table.entries)
}

// size returns the number of entries.
func (a *accumulators) size() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return len(a.table.entries)
}

// close makes the accumulators refuse counts: after the last take, nothing would seal them.
func (a *accumulators) close() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.isClosed = true
}

// take returns all entries and forgets them.
func (a *accumulators) take() []entry {
	// As many as before will come: then entries are not copied while others wait for the mutex.
	empty := newTable(a.size())
	a.mutex.Lock()
	defer a.mutex.Unlock()
	entries := a.table.entries
	a.table = empty
	return entries
}

// restore adds entries that could not be sealed again; returns how many had inexact sums.
func (a *accumulators) restore(entries []entry) int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	dropped := 0
	for i := range entries {
		if !a.table.add(entries[i].account, &entries[i].amounts) {
			dropped++
		}
	}
	return dropped
}
