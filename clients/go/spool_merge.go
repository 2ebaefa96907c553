package tallybook

import "slices"

// Limits are what a spool may have before flushes are merged.
type Limits struct {
	Flushes int
	Bytes   int64
}

// isExceeded is true if a spool has more than a share of its limits.
func (l Limits) isExceeded(s *spool, share float64) bool {
	return float64(s.size.Load()) > float64(l.Flushes)*share ||
		float64(s.bytes.Load()) > float64(l.Bytes)*share
}

// mergeIfAbove merges flushes of sealed if the spool is above its limits, until half of them is
// left. It returns how many flushes are gone, also if it fails.
func (s *spool) mergeIfAbove(limits Limits, instance string) (gone int64, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !limits.isExceeded(s, 1) || s.size.Load() <= s.mergeAbove {
		return 0, nil
	}
	if err := s.removeContained(); err != nil {
		return 0, err
	}
	before := s.size.Load()
	for _, sameQuarter := range []bool{true, false} {
		if err := s.mergeRuns(limits, instance, sameQuarter); err != nil {
			return before - s.size.Load(), err
		}
	}
	// Reading all flushes again makes sense only after some have come.
	s.mergeAbove = 0
	if size := s.size.Load(); limits.isExceeded(s, 1) {
		s.mergeAbove = size + size/10
	}
	return before - s.size.Load(), nil
}

// mergeRuns merges one run after the other, until half of the limits is left or nothing is merged.
func (s *spool) mergeRuns(limits Limits, instance string, sameQuarter bool) error {
	futile := map[string]bool{}
	for limits.isExceeded(s, 0.5) {
		sealed := slices.DeleteFunc(s.all(), func(w *waiting) bool { return w.folder != sealedFolder })
		runs := findRuns(sealed, sameQuarter)
		next := slices.IndexFunc(runs, func(run []*waiting) bool { return !futile[run[0].file] })
		if next < 0 {
			return nil
		}
		isMerged, err := s.mergeRun(runs[next], instance)
		if err != nil {
			return err
		}
		if !isMerged {
			futile[runs[next][0].file] = true
		}
	}
	return nil
}

func (s *spool) mergeRun(run []*waiting, instance string) (bool, error) {
	flushes := make([]namedFlush, len(run))
	for i, w := range run {
		read, err := s.read(w)
		if err != nil {
			return false, err
		}
		flushes[i] = namedFlush{w.name, read}
	}
	merged, isMerged, err := merge(instance, flushes)
	if err != nil || !isMerged {
		return false, err
	}
	return true, s.replace(run, []namedFlush{merged})
}
