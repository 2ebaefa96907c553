package tallybook

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tallybook/tallybook/clients/go/internal/disk"
)

// The files of a spool. Its mutex is locked in each of these methods.

// read reads a flush. If someone has deleted it, it is forgotten.
func (s *spool) read(w *waiting) (flush, error) {
	text, err := os.ReadFile(filepath.Join(s.pathOf(w.folder), w.file))
	if errors.Is(err, fs.ErrNotExist) {
		s.forget(w)
	}
	if err != nil {
		return flush{}, err
	}
	read, isFlush := parseFlush(text)
	if !isFlush {
		return flush{}, errors.New("tallybook: " + w.file + " was changed and is no flush")
	}
	return read, nil
}

// load remembers the flushes of a folder, and deletes what was not written completely.
func (s *spool) load(from folder) error {
	entries, err := os.ReadDir(s.pathOf(from))
	if err != nil {
		return err
	}
	var drafts, files []string
	for _, entry := range entries {
		switch filepath.Ext(entry.Name()) {
		case ".tmp":
			drafts = append(drafts, entry.Name())
		case ".json":
			files = append(files, entry.Name())
		}
	}
	if err := disk.RemoveDurably(s.pathOf(from), drafts); err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(s.pathOf(from), file))
		if err != nil {
			return err
		}
		name, isName := parseName(file)
		if read, isFlush := parseFlush(text); isName && isFlush {
			s.remember(name, from, read.SealedAt, len(text))
		} else if err := s.rejectFile(from, file, Reason{Error: "unreadable"}); err != nil {
			return err
		}
	}
	return nil
}

func (s *spool) write(name flushName, sealed *flush) error {
	text, err := json.Marshal(sealed)
	if err != nil {
		return err
	}
	path := filepath.Join(s.pathOf(sealedFolder), name.file())
	if err := disk.WriteDurably(path, string(text)); err != nil {
		return err
	}
	s.remember(name, sealedFolder, sealed.SealedAt, len(text))
	return nil
}

func (s *spool) move(w *waiting, to folder) error {
	from := w.folder
	if from == to {
		return nil
	}
	err := disk.Rename(filepath.Join(s.pathOf(from), w.file), filepath.Join(s.pathOf(to), w.file))
	if err != nil {
		return err
	}
	w.folder = to
	if err := disk.SyncFolder(s.pathOf(to)); err != nil {
		return err
	}
	return disk.SyncFolder(s.pathOf(from))
}

func (s *spool) delete(flushes []*waiting) error {
	for _, folder := range waitingFolders {
		var there []*waiting
		var files []string
		for _, w := range flushes {
			if w.folder == folder {
				there = append(there, w)
				files = append(files, w.file)
			}
		}
		if len(there) == 0 {
			continue
		}
		if err := disk.RemoveDurably(s.pathOf(folder), files); err != nil {
			return err
		}
		for _, w := range there {
			s.forget(w)
		}
	}
	return nil
}

func (s *spool) rejectFile(from folder, file string, why Reason) error {
	text, err := json.Marshal(why.file(time.Now()))
	if err != nil {
		return err
	}
	rejected := s.pathOf(rejectedFolder)
	reason := filepath.Join(rejected, strings.TrimSuffix(file, ".json")+".reason.json")
	if err := disk.WriteDurably(reason, string(text)); err != nil {
		return err
	}
	err = disk.Rename(filepath.Join(s.pathOf(from), file), filepath.Join(rejected, file))
	if err != nil {
		return err
	}
	if err := disk.SyncFolder(rejected); err != nil {
		return err
	}
	return disk.SyncFolder(s.pathOf(from))
}
