package tallybook

import (
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/tallybook/tallybook/clients/go/internal/disk"
)

// spool is the directory of sealed flushes, until the service has them.
type spool struct {
	directory string
	lock      *lock
	// size and bytes are of the flushes that wait. They are read without the mutex.
	size, bytes atomic.Int64

	// mutex is locked during each change of the directory. It covers what follows.
	mutex   sync.Mutex
	waiting map[string]*waiting
	// mergeAbove is the number of flushes above which merging is tried again after it found nothing.
	mergeAbove int64
	// hasContained is true while flushes may be there that others contain: these must not be sent.
	hasContained bool
}

// openSpool takes the directory, and finishes or takes back what was interrupted.
func openSpool(directory, epoch string) (*spool, error) {
	for _, folder := range append(waitingFolders, rejectedFolder) {
		if err := disk.MakeFolder(filepath.Join(directory, string(folder))); err != nil {
			return nil, err
		}
	}
	lock, err := takeLock(directory, epoch)
	if err != nil {
		return nil, err
	}
	s := &spool{directory: directory, lock: lock, waiting: map[string]*waiting{}, hasContained: true}
	for _, folder := range waitingFolders {
		if err == nil {
			err = s.load(folder)
		}
	}
	if err == nil {
		err = s.removeContained()
	}
	if err != nil {
		lock.release()
		return nil, err
	}
	return s, nil
}

// seal writes a flush. It is sealed if this returns nil; otherwise it is not.
func (s *spool) seal(name flushName, sealed *flush) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.write(name, sealed)
}

// begun is a flush that is to be sent next.
type begun struct {
	*waiting
	flush flush
	// isCertain is true if it was certainly not in the log before.
	isCertain bool
}

// begin takes the flush to send next into attempted. It returns nil if none waits.
func (s *spool) begin() (*begun, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.removeContained(); err != nil {
		return nil, err
	}
	var next *waiting
	for _, w := range s.all() {
		if next == nil || w.isBefore(next) {
			next = w
		}
	}
	if next == nil {
		return nil, nil
	}
	flush, err := s.read(next)
	if err != nil {
		return nil, err
	}
	isCertain := next.folder == sealedFolder
	if err := s.move(next, attemptedFolder); err != nil {
		return nil, err
	}
	return &begun{next, flush, isCertain}, nil
}

// remove deletes a flush that the service has accepted.
func (s *spool) remove(accepted *waiting) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.delete([]*waiting{accepted})
}

// putBack records that a flush is certainly not in the log after all.
func (s *spool) putBack(refused *waiting) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.move(refused, sealedFolder)
}

// replace replaces flushes by others with the same entries: one by its parts, or several by their
// sum. If it is interrupted, those that another one contains are deleted later, before any is sent.
func (s *spool) replace(old []*waiting, replacements []namedFlush) error {
	s.hasContained = true
	for i := range replacements {
		if err := s.write(replacements[i].name, &replacements[i].flush); err != nil {
			return err
		}
	}
	if err := s.delete(old); err != nil {
		return err
	}
	s.hasContained = false
	return nil
}

// split replaces a flush that is certainly not in the log by its parts. None of them is sent before
// the whole is gone.
func (s *spool) split(whole *waiting, parts []namedFlush) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	// If the rest is interrupted, the whole can still be split.
	if err := s.move(whole, sealedFolder); err != nil {
		return err
	}
	return s.replace([]*waiting{whole}, parts)
}

// reject gives a flush up: it stays in rejected, with the reason beside it.
func (s *spool) reject(refused *waiting, why Reason) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.rejectFile(refused.folder, refused.file, why); err != nil {
		return err
	}
	s.forget(refused)
	return nil
}

// close waits for the change in progress and leaves the directory to the next process.
func (s *spool) close() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.lock.release()
}

// removeContained finishes a merge, or takes back a split, that was interrupted or that the disk
// refused.
func (s *spool) removeContained() error {
	if !s.hasContained {
		return nil
	}
	if err := s.delete(findContained(s.all())); err != nil {
		return err
	}
	s.hasContained = false
	return nil
}

func (s *spool) remember(name flushName, where folder, sealedAt int64, bytes int) {
	file := name.file()
	if old := s.waiting[file]; old != nil {
		s.forget(old)
	}
	s.waiting[file] = &waiting{name, file, where, sealedAt, int64(bytes)}
	s.size.Add(1)
	s.bytes.Add(int64(bytes))
}

func (s *spool) forget(w *waiting) {
	if s.waiting[w.file] == w {
		delete(s.waiting, w.file)
		s.size.Add(-1)
		s.bytes.Add(-w.bytes)
	}
}

func (s *spool) pathOf(in folder) string {
	return filepath.Join(s.directory, string(in))
}

func (s *spool) all() []*waiting {
	all := make([]*waiting, 0, len(s.waiting))
	for _, w := range s.waiting {
		all = append(all, w)
	}
	return all
}
