package tallybook

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

const vectorEpoch = "9f86d081884c.api"

type flushVectors struct {
	Instance string
	Seals    []struct {
		Kind     kind
		Epoch    string
		Seq      int64
		SealedAt int64 `json:"sealed_at"`
		Last     bool
		Entries  []json.RawMessage
		Flush    flush
	}
	Splits []splitVector
	Merges []struct {
		Why     string
		Flushes []struct {
			First, Last int64
			SealedAt    int64 `json:"sealed_at"`
			Ends        bool
			Keys        []json.RawMessage
		}
		Result *struct {
			First, Last   int64
			SealedAt      int64 `json:"sealed_at"`
			Key, Sequence string
			Keys          []json.RawMessage
		}
	}
	Runs []struct {
		Why         string
		SameQuarter bool `json:"same_quarter"`
		Flushes     [][3]int64
		Runs        [][]int
	}
}

type splitVector struct {
	Why         string
	First, Last int64
	Parts       []int
	Key         string
	Sequence    *string
	Keys        []json.RawMessage
	Result      []struct {
		Parts    []int
		Key      string
		Sequence *string
		Keys     []json.RawMessage
	}
}

func TestSeals(t *testing.T) {
	vectors := readVectors[flushVectors](t, "flushes.json")
	for _, v := range vectors.Seals {
		var entries []entry
		for _, text := range v.Entries {
			entries = append(entries, mustParseEntry(t, text))
		}
		name := flushName{epoch: v.Epoch, first: v.Seq, last: v.Seq}
		sealed, err := seal(vectors.Instance, v.Kind, name, v.SealedAt, entries, v.Last)
		if err != nil || !reflect.DeepEqual(sealed, v.Flush) {
			t.Errorf("%s: %+v, %v", v.Flush.Key, sealed, err)
		}
	}
	if len(vectors.Seals) == 0 {
		t.Error("there are none")
	}
}

func TestSplits(t *testing.T) {
	vectors := readVectors[flushVectors](t, "flushes.json").Splits
	for _, v := range vectors {
		name := flushName{vectorEpoch, v.First, v.Last, v.Parts}
		whole := makeFlush(t, v.Key, v.Sequence, 1, v.Keys)
		parts, err := split(name, &whole)
		if err != nil || len(parts) != len(v.Result) {
			t.Fatalf("%s: %+v, %v", v.Why, parts, err)
		}
		for i, part := range parts {
			wanted := v.Result[i]
			isEqual := slices.Equal(part.name.parts, wanted.Parts) && part.flush.Key == wanted.Key &&
				reflect.DeepEqual(part.flush.Sequence, wanted.Sequence) &&
				part.flush.Body == makeFlush(t, "", nil, 1, wanted.Keys).Body
			if !isEqual {
				t.Errorf("%s: %+v", v.Why, part)
			}
		}
	}
	if len(vectors) == 0 {
		t.Error("there are none")
	}
}

func TestMerges(t *testing.T) {
	vectors := readVectors[flushVectors](t, "flushes.json")
	for _, v := range vectors.Merges {
		var given []namedFlush
		for _, f := range v.Flushes {
			sequence := "s"
			if f.Ends {
				sequence += lastMark
			}
			name := flushName{epoch: vectorEpoch, first: f.First, last: f.Last}
			given = append(given, namedFlush{name, makeFlush(t, "", &sequence, f.SealedAt, f.Keys)})
		}
		merged, isMerged, err := merge(vectors.Instance, given)
		if err != nil || isMerged != (v.Result != nil) {
			t.Fatalf("%s: %v, %v", v.Why, isMerged, err)
		}
		if !isMerged {
			continue
		}
		parsed, err := merged.flush.parseBody()
		wanted := v.Result
		isEqual := merged.name.first == wanted.First && merged.name.last == wanted.Last &&
			merged.flush.SealedAt == wanted.SealedAt && merged.flush.Key == wanted.Key &&
			*merged.flush.Sequence == wanted.Sequence && *parsed.CountedAt == wanted.SealedAt
		if err != nil || !isEqual || !haveEqualEntries(t, parsed.Keys, wanted.Keys) {
			t.Errorf("%s: %+v %s", v.Why, merged, merged.flush.Body)
		}
	}
	if len(vectors.Merges) == 0 {
		t.Error("there are none")
	}
}

func TestRuns(t *testing.T) {
	vectors := readVectors[flushVectors](t, "flushes.json").Runs
	for _, v := range vectors {
		var flushes []*waiting
		for _, f := range v.Flushes {
			name := flushName{epoch: vectorEpoch, first: f[0], last: f[1]}
			flushes = append(flushes, &waiting{name: name, sealedAt: f[2]})
		}
		found := [][]int{}
		for _, run := range findRuns(flushes, v.SameQuarter) {
			var places []int
			for _, w := range run {
				places = append(places, slices.Index(flushes, w))
			}
			found = append(found, places)
		}
		if !reflect.DeepEqual(found, v.Runs) {
			t.Errorf("%s: %v", v.Why, found)
		}
	}
	if len(vectors) == 0 {
		t.Error("there are none")
	}
}

func mustParseEntry(t *testing.T, text []byte) entry {
	t.Helper()
	parsed, err := parseEntry(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func makeFlush(
	t *testing.T, key string, sequence *string, sealedAt int64, keys []json.RawMessage,
) flush {
	t.Helper()
	text, err := body{&sealedAt, keys}.format()
	if err != nil {
		t.Fatal(err)
	}
	return flush{1, apiKeys.path(), key, sequence, sealedAt, text}
}

// haveEqualEntries compares entries in any order.
func haveEqualEntries(t *testing.T, found, wanted []json.RawMessage) bool {
	t.Helper()
	for _, text := range wanted {
		one := mustParseEntry(t, text)
		isSame := func(other json.RawMessage) bool {
			return reflect.DeepEqual(mustParseEntry(t, other), one)
		}
		if !slices.ContainsFunc(found, isSame) {
			return false
		}
	}
	return len(found) == len(wanted)
}
