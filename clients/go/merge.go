package tallybook

import (
	"cmp"
	"slices"
	"strings"
)

// Adds flushes up that were never attempted. No clock, no disk.

const (
	// maxMergedEntries is the most entries of a merged flush: far from the service's limit on bodies,
	// so no 413.
	maxMergedEntries = 20_000
	// maxRun is the most flushes that are merged at once.
	maxRun = 16
	// quarterHour is in seconds: usage shows quarter hours.
	quarterHour = 900
)

// findRuns finds neighbours to merge, two or more: of one epoch, with adjacent ranges, no parts.
// sameQuarter restricts runs to one quarter hour. Runs are in the order of their first flush.
func findRuns(flushes []*waiting, sameQuarter bool) [][]*waiting {
	sorted := slices.DeleteFunc(slices.Clone(flushes), func(w *waiting) bool {
		return len(w.name.parts) > 0
	})
	slices.SortFunc(sorted, func(a, b *waiting) int {
		byEpoch := strings.Compare(a.name.epoch, b.name.epoch)
		return cmp.Or(byEpoch, cmp.Compare(a.name.first, b.name.first))
	})
	var runs [][]*waiting
	for from := 0; from < len(sorted); {
		through := from + 1
		for through < len(sorted) && through-from < maxRun &&
			areNeighbours(sorted[through-1], sorted[through], sameQuarter) {
			through++
		}
		if through-from > 1 {
			runs = append(runs, sorted[from:through])
		}
		from = through
	}
	slices.SortStableFunc(runs, func(a, b []*waiting) int {
		return cmp.Compare(a[0].sealedAt, b[0].sealedAt)
	})
	return runs
}

func areNeighbours(before, after *waiting, sameQuarter bool) bool {
	if before.name.epoch != after.name.epoch || before.name.last+1 != after.name.first {
		return false
	}
	return !sameQuarter || before.sealedAt/quarterHour == after.sealedAt/quarterHour
}

// merge adds flushes up that have adjacent ranges, in their order; false if the result would have
// too many entries or an inexact sum.
func merge(instance string, flushes []namedFlush) (merged namedFlush, isMerged bool, err error) {
	first, last := &flushes[0], &flushes[len(flushes)-1]
	of := tokenKeys
	if first.flush.Path == apiKeys.path() {
		of = apiKeys
	}
	sums := newTable(0)
	sealedAt := first.flush.SealedAt
	for i := range flushes {
		sealedAt = max(sealedAt, flushes[i].flush.SealedAt)
		parsed, err := flushes[i].flush.parseBody()
		if err != nil {
			return merged, false, err
		}
		for _, key := range parsed.Keys {
			added, err := parseEntry(key)
			if err != nil {
				return merged, false, err
			}
			if !sums.add(added.account, &added.amounts) {
				return merged, false, nil
			}
		}
	}
	if len(sums.entries) > maxMergedEntries {
		return merged, false, nil
	}
	merged.name = first.name
	merged.name.last = last.name.last
	sequence := last.flush.Sequence
	isLast := sequence != nil && strings.HasSuffix(*sequence, lastMark)
	merged.flush, err = seal(instance, of, merged.name, sealedAt, sums.entries, isLast)
	return merged, err == nil, err
}
