package tallybook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tallybook/tallybook/clients/go/internal/disk"
)

// holder is the content of a lock.
type holder struct {
	PID   int    `json:"pid"`
	Host  string `json:"host"`
	Epoch string `json:"epoch"`
}

const (
	touchInterval = 5 * time.Second
	staleAfter    = 60 * time.Second
)

// ownEpochs has the epochs of the locks of this process.
var ownEpochs sync.Map

// lock is the exclusive use of a spool directory.
type lock struct {
	path, text, epoch string
	stopping          chan struct{}
}

// takeLock takes the lock, also from a process that has died. The error wraps ErrSpoolInUse if
// another client has it.
func takeLock(directory, epoch string) (*lock, error) {
	path := filepath.Join(directory, "lock")
	own := filepath.Join(directory, "lock."+epoch+".tmp")
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(holder{os.Getpid(), host, epoch})
	if err != nil {
		return nil, err
	}
	defer func() { _ = disk.Remove(own) }()
	if err := disk.Write(own, string(text)); err != nil {
		return nil, err
	}
	// From here on, other clients of this process see that this lock is not one of a dead process.
	ownEpochs.Store(epoch, true)
	err = disk.Link(own, path)
	if errors.Is(err, fs.ErrExist) {
		if err = removeStale(path, path+"."+epoch+".stale.tmp", host); err == nil {
			err = disk.Link(own, path)
		}
	}
	if err != nil {
		ownEpochs.Delete(epoch)
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w: %s", ErrSpoolInUse, path)
		}
		return nil, err
	}
	taken := &lock{path, string(text), epoch, make(chan struct{})}
	go taken.touch()
	return taken, nil
}

// touch shows other hosts that the owner of the lock lives.
func (l *lock) touch() {
	ticker := time.NewTicker(touchInterval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			_ = os.Chtimes(l.path, now, now)
		case <-l.stopping:
			return
		}
	}
}

func (l *lock) release() {
	close(l.stopping)
	if text, err := os.ReadFile(l.path); err == nil && string(text) == l.text {
		_ = disk.Remove(l.path)
	}
	ownEpochs.Delete(l.epoch)
}

// removeStale removes a lock whose owner has died. The error wraps ErrSpoolInUse if it lives.
func removeStale(path, aside, host string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	status, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !isStale(text, status.ModTime(), host) {
		return fmt.Errorf("%w: %s %s", ErrSpoolInUse, path, text)
	}
	// Two processes may find the same stale lock. A rename moves whatever is there by then, so the
	// lock that the other one has created in between is put back.
	_ = disk.Rename(path, aside)
	if moved, err := os.ReadFile(aside); err == nil && string(moved) != string(text) {
		_ = disk.Link(aside, path)
	}
	return disk.Remove(aside)
}

func isStale(text []byte, touched time.Time, host string) bool {
	if time.Since(touched) > staleAfter {
		return true
	}
	var by holder
	if json.Unmarshal(text, &by) != nil || by.Host != host {
		return false
	}
	if by.PID == os.Getpid() {
		_, isOwn := ownEpochs.Load(by.Epoch)
		return !isOwn
	}
	return !isRunning(by.PID)
}

func isRunning(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	err = process.Signal(syscall.Signal(0))
	return !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH)
}
