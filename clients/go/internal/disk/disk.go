// Package disk changes files so that a change survives a power failure once it has returned.
package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Intercept is called before every change of the disk, if it is set before the first one. For a
// write, tear writes the first half of the text; for other changes it is nil. The conformance
// driver kills itself here.
var Intercept func(tear func())

func change(tear func()) {
	if Intercept != nil {
		Intercept(tear)
	}
}

// MakeFolder creates a folder and those that it is in, unless they are there.
func MakeFolder(path string) error {
	change(nil)
	return os.MkdirAll(path, 0o700)
}

// Write writes a file. It may be torn after a power failure.
func Write(path, text string) error {
	return write(path, text, false)
}

// Link creates a file under another name too. The error is fs.ErrExist if that name is taken.
func Link(from, to string) error {
	change(nil)
	return os.Link(from, to)
}

// Rename moves a file. It lasts after SyncFolder.
func Rename(from, to string) error {
	change(nil)
	return os.Rename(from, to)
}

// Remove deletes a file; one that is not there is ignored. It lasts after SyncFolder.
func Remove(path string) error {
	change(nil)
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// WriteDurably writes a new file: it appears complete, or not at all. It leaves none if it fails.
func WriteDurably(path, text string) error {
	draft := path + ".tmp"
	err := write(draft, text, true)
	if err == nil {
		err = Rename(draft, path)
	}
	if err != nil {
		_ = Remove(draft)
		return err
	}
	// The file is there: to report a failure now would make the caller write its content twice.
	_ = SyncFolder(filepath.Dir(path))
	return nil
}

// RemoveDurably deletes files of one folder; those that are not there are ignored.
func RemoveDurably(folder string, files []string) error {
	for _, file := range files {
		if err := Remove(filepath.Join(folder, file)); err != nil {
			return err
		}
	}
	return SyncFolder(folder)
}

// SyncFolder makes what was created, renamed and deleted in a folder durable.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err == nil {
		change(nil)
		err = errors.Join(folder.Sync(), folder.Close())
	}
	for _, unsupported := range noFolderSync {
		if errors.Is(err, unsupported) {
			return nil
		}
	}
	return err
}

// noFolderSync are the errors of platforms on which a folder can't be synchronized: there, renames
// are as durable as they get.
var noFolderSync = []error{
	syscall.EISDIR, syscall.EINVAL, fs.ErrPermission, errors.ErrUnsupported,
}

func write(path, text string, isSynced bool) error {
	change(nil)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	change(func() { _, _ = file.WriteString(text[:len(text)/2]) })
	_, err = file.WriteString(text)
	if err == nil && isSynced {
		change(nil)
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
