package tallybook

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What the service would refuse. One such entry would spoil the whole flush that it is in.

const (
	// maxCount is the greatest integer that JSON readers keep exactly: 2^53 - 1.
	maxCount = 1<<53 - 1
	// maxNameUnits and maxValueUnits are in UTF-16 code units, as the service measures texts.
	maxNameUnits  = 255
	maxValueUnits = 64
	// maxDeclaredName is the length of the longest name of a dimension or measure.
	maxDeclaredName = 64
)

// maxTime is the end of the year 9999: the service refuses later times.
const maxTime = 253_402_300_799

// isValid is true for the id or the external id that an API key can have.
func (k APIKey) isValid() bool {
	if k.externalID == "" {
		return isCount(k.id) && k.id > 0
	}
	return isName(k.externalID)
}

func (c *Counts) areValid() bool {
	return isCount(c.Requests) && isCount(c.SuccessRequests) && c.SuccessRequests <= c.Requests &&
		areDimensions(c.Dimensions) && areMeasures(c.Measures)
}

func (c *TokenCounts) areValid() bool {
	return isCount(c.Requests) && isCount(c.Tokens) && isTime(c.LastAccessedAt) &&
		areDimensions(c.Dimensions) && areMeasures(c.Measures)
}

func isCount(n int64) bool {
	return 0 <= n && n <= maxCount
}

func isTime(at time.Time) bool {
	return at.IsZero() || (0 <= at.Unix() && at.Unix() <= maxTime)
}

// isName is true for an external id or a hash that an account can have.
func isName(text string) bool {
	return isStorable(text, maxNameUnits) && strings.TrimFunc(text, isSpace) == text
}

// isSpace is true for what JavaScript trims, because the service does.
func isSpace(r rune) bool {
	return r == '\ufeff' || (unicode.IsSpace(r) && r != '\u0085')
}

// isStorable is true for a text with something in it, without NUL, that is not too long.
func isStorable(text string, maxUnits int) bool {
	if text == "" || !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return false
	}
	if len(text) <= maxUnits {
		return true
	}
	units := 0
	for _, r := range text {
		units++
		if r > 0xffff {
			units++
		}
	}
	return units <= maxUnits
}

func areDimensions(dimensions map[string]string) bool {
	for name, value := range dimensions {
		if !isDeclaredName(name) || value == "other" || !isStorable(value, maxValueUnits) {
			return false
		}
	}
	return true
}

func areMeasures(measures map[string]int64) bool {
	for name, n := range measures {
		if !isDeclaredName(name) || !isCount(n) {
			return false
		}
	}
	return true
}

// isDeclaredName is true for `[a-z][a-z0-9_]*`.
func isDeclaredName(name string) bool {
	if name == "" || len(name) > maxDeclaredName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := 1; i < len(name); i++ {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
