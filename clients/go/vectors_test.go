package tallybook

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The pure parts agree with the vectors that all clients share.

// readVectors reads a file of vectors.
func readVectors[Vectors any](t *testing.T, file string) Vectors {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../conformance/vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	var vectors Vectors
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

type nameVectors struct {
	Names []struct {
		File, Epoch string
		First, Last int64
		Parts       []int
	}
	NoFlushes []string `json:"no_flushes"`
	Contained []struct {
		Why            string
		Files, Deleted []string
	}
}

func TestNames(t *testing.T) {
	vectors := readVectors[nameVectors](t, "names.json")
	for _, v := range vectors.Names {
		name, isFlush := parseName(v.File)
		isEqual := name.epoch == v.Epoch && name.first == v.First && name.last == v.Last &&
			slices.Equal(name.parts, v.Parts)
		if !isFlush || !isEqual || name.file() != v.File {
			t.Errorf("%s: %+v, %v", v.File, name, isFlush)
		}
	}
	for _, file := range vectors.NoFlushes {
		if name, isFlush := parseName(file); isFlush {
			t.Errorf("%s: %+v", file, name)
		}
	}
	if len(vectors.Names) == 0 || len(vectors.NoFlushes) == 0 {
		t.Error("there are no names")
	}
}

func TestContained(t *testing.T) {
	vectors := readVectors[nameVectors](t, "names.json").Contained
	for _, v := range vectors {
		var flushes []*waiting
		for _, file := range v.Files {
			name, _ := parseName(file)
			flushes = append(flushes, &waiting{name: name, file: file})
		}
		deleted := []string{}
		for _, contained := range findContained(flushes) {
			deleted = append(deleted, contained.file)
		}
		if !slices.Equal(deleted, v.Deleted) {
			t.Errorf("%s: %v", v.Why, deleted)
		}
	}
	if len(vectors) == 0 {
		t.Error("there are none")
	}
}

type answerVectors struct {
	Outcomes []struct {
		Status  int
		Body    string
		Outcome outcome
	}
	Delays []struct {
		Failures     int
		Random       float64
		RetryAfterMs int64 `json:"retry_after_ms"`
		DelayMs      int64 `json:"delay_ms"`
	}
	RetryAfter []struct {
		Value *string
		Ms    int64
	} `json:"retry_after"`
	RetryAfterNow int64 `json:"retry_after_now"`
}

func TestAnswers(t *testing.T) {
	vectors := readVectors[answerVectors](t, "answers.json")
	for _, v := range vectors.Outcomes {
		if found := classify(v.Status, v.Body); found != v.Outcome {
			t.Errorf("%d %s: %s, not %s", v.Status, v.Body, found, v.Outcome)
		}
	}
	for _, v := range vectors.Delays {
		backoff := Backoff{500 * time.Millisecond, 30 * time.Second}
		retryAfter := time.Duration(v.RetryAfterMs) * time.Millisecond
		if found := backoff.delay(v.Failures, v.Random, retryAfter); found.Milliseconds() != v.DelayMs {
			t.Errorf("%+v: %s", v, found)
		}
	}
	for _, v := range vectors.RetryAfter {
		value := ""
		if v.Value != nil {
			value = *v.Value
		}
		found := readRetryAfter(value, time.Unix(vectors.RetryAfterNow, 0))
		if found.Milliseconds() != v.Ms {
			t.Errorf("%s: %s", value, found)
		}
	}
	if len(vectors.Outcomes) == 0 || len(vectors.Delays) == 0 || len(vectors.RetryAfter) == 0 {
		t.Error("there are none")
	}
}
