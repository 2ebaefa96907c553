package tallybook

// folder is where a flush is.
type folder string

const (
	// sealedFolder has flushes that are certainly not in the log.
	sealedFolder folder = "sealed"
	// attemptedFolder has flushes that may be in the log.
	attemptedFolder folder = "attempted"
	// rejectedFolder has flushes that were given up, each with a reason.
	rejectedFolder folder = "rejected"
)

var waitingFolders = []folder{sealedFolder, attemptedFolder}

// waiting is a flush that waits in the spool.
type waiting struct {
	name   flushName
	file   string
	folder folder
	// sealedAt is in Unix seconds.
	sealedAt int64
	bytes    int64
}

// isBefore is true if w is sent before other: those that may be in the log first, then the oldest.
func (w *waiting) isBefore(other *waiting) bool {
	if w.folder != other.folder {
		return w.folder == attemptedFolder
	}
	if w.sealedAt != other.sealedAt {
		return w.sealedAt < other.sealedAt
	}
	return w.file < other.file
}

// findContained returns the flushes that another one contains: what an interrupted merge or split
// left.
func findContained(flushes []*waiting) []*waiting {
	var contained []*waiting
	for _, inner := range flushes {
		for _, outer := range flushes {
			if outer.name.contains(inner.name) {
				contained = append(contained, inner)
				break
			}
		}
	}
	return contained
}
