// Command verify checks a shard's transparency log with Go's own implementation of such logs:
// golang.org/x/mod/sumdb/note and golang.org/x/mod/sumdb/tlog, which know nothing of this project.
//
//	verify <shard> <verifier key> <proof file of an event>
//
// It requests what it needs from the service on stdout, one path per line, and reads the answers on
// stdin. It exits with 0 after a line on stderr that states what was verified, or with 1 after an
// error.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileWidth = 256

type log struct {
	shard     string
	verifiers note.Verifiers
	answers   *bufio.Reader
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	verifier, err := note.NewVerifier(args[1])
	if err != nil {
		return err
	}
	l := &log{args[0], note.VerifierList(verifier), bufio.NewReader(os.Stdin)}
	checkpoint, err := l.get("/audit/log/" + l.shard + "/checkpoint")
	if err != nil {
		return err
	}
	tree, err := l.open(checkpoint, verifier.Name())
	if err != nil {
		return err
	}
	// Every hash that this reader returns is proved to be in the tree of the signed head.
	reader := tlog.TileHashReader(tree, l)
	if err := l.checkEntries(tree, reader); err != nil {
		return err
	}
	proofs, err := l.checkProofs(tree, reader)
	if err != nil {
		return err
	}
	if err := l.checkProofFile(args[2], verifier.Name()); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "verified %d entries, %d proofs\n", tree.N, proofs)
	return nil
}

// get requests a path from the service: it writes the path, and reads "<status> <length>" and the
// body. An HTTP client would take a minute to compile.
func (l *log) get(path string) ([]byte, error) {
	fmt.Println(path)
	var status, length int
	if _, err := fmt.Fscanf(l.answers, "%d %d\n", &status, &length); err != nil {
		return nil, err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(l.answers, body); err != nil {
		return nil, err
	}
	if status != 200 {
		return nil, fmt.Errorf("%s: %d", path, status)
	}
	return body, nil
}

// open verifies a signed tree head (C2SP tlog-checkpoint).
func (l *log) open(signed []byte, origin string) (tlog.Tree, error) {
	opened, err := note.Open(signed, l.verifiers)
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != origin || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("not a tree head of %s: %q", origin, opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

// Height, ReadTiles and SaveTiles make a log a tlog.TileReader.
func (l *log) Height() int { return 8 }

func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(tiles))
	for i, tile := range tiles {
		// Go's path contains the height, unlike the path of C2SP tlog-tiles.
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		hashes, err := l.get("/audit/log/" + l.shard + "/" + path)
		if err != nil {
			return nil, err
		}
		read[i] = hashes
	}
	return read, nil
}

func (l *log) SaveTiles([]tlog.Tile, [][]byte) {}

// checkEntries checks every entry against its hash in the tiles, and all of them together against
// the signed root.
func (l *log) checkEntries(tree tlog.Tree, reader tlog.HashReader) error {
	var stored []tlog.Hash
	own := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for first := int64(0); first < tree.N; first += tileWidth {
		width := tree.N - first
		if width > tileWidth {
			width = tileWidth
		}
		tile := tlog.Tile{H: 8, L: 0, N: first / tileWidth, W: int(width)}
		path := "tile/entries/" + strings.TrimPrefix(tile.Path(), "tile/8/0/")
		bundle, err := l.get("/audit/log/" + l.shard + "/" + path)
		if err != nil {
			return err
		}
		indexes := make([]int64, width)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, hash := range hashes {
			if len(bundle) < 2 {
				return fmt.Errorf("%s: too short", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			if len(bundle) < end {
				return fmt.Errorf("%s: too short", path)
			}
			if tlog.RecordHash(bundle[2:end]) != hash {
				return fmt.Errorf("entry %d is not in the tree", first+int64(i))
			}
			added, err := tlog.StoredHashesForRecordHash(first+int64(i), hash, own)
			if err != nil {
				return err
			}
			stored = append(stored, added...)
			bundle = bundle[end:]
		}
		if len(bundle) > 0 {
			return fmt.Errorf("%s: too long", path)
		}
	}
	root, err := tlog.TreeHash(tree.N, own)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the root of the entries is not the signed root")
	}
	return nil
}

// checkProofs verifies proofs made by the service, at sizes around those where tiles begin.
func (l *log) checkProofs(tree tlog.Tree, reader tlog.HashReader) (int, error) {
	proofs := 0
	for _, size := range []int64{1, 2, 255, 256, 257, 65535, 65536, 65537, tree.N - 1, tree.N} {
		if size < 1 || size > tree.N {
			continue
		}
		root, err := tlog.TreeHash(size, reader)
		if err != nil {
			return 0, err
		}
		var consistency tlog.TreeProof
		path := fmt.Sprintf("/audit/proof/consistency?shard=%s&from=%d&to=%d", l.shard, size, tree.N)
		if err := l.readProof(path, (*[]tlog.Hash)(&consistency)); err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(consistency, tree.N, tree.Hash, size, root); err != nil {
			return 0, fmt.Errorf("%s: %v", path, err)
		}
		var inclusion tlog.RecordProof
		path = fmt.Sprintf("/audit/proof/inclusion?shard=%s&position=%d&tree_size=%d", l.shard, size-1, tree.N)
		if err := l.readProof(path, (*[]tlog.Hash)(&inclusion)); err != nil {
			return 0, err
		}
		leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, size-1)})
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(inclusion, tree.N, tree.Hash, size-1, leaf[0]); err != nil {
			return 0, fmt.Errorf("%s: %v", path, err)
		}
		proofs += 2
	}
	return proofs, nil
}

func (l *log) readProof(path string, hashes *[]tlog.Hash) error {
	body, err := l.get(path)
	if err != nil {
		return err
	}
	var answer struct{ Hashes []tlog.Hash }
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	*hashes = answer.Hashes
	return nil
}

// checkProofFile verifies a file in the format C2SP tlog-proof. Its extra line is an event, whose
// leaf is the part before the payload.
func (l *log) checkProofFile(path, origin string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	proof, checkpoint, found := bytes.Cut(file, []byte("\n\n"))
	lines := strings.Split(string(proof), "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("%s: not a proof", path)
	}
	tree, err := l.open(checkpoint, origin)
	if err != nil {
		return err
	}
	event, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var inclusion tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		inclusion = append(inclusion, hash)
	}
	leaf, _, found := bytes.Cut(event, []byte(`,"payload":`))
	if !found {
		return fmt.Errorf("%s: no event", path)
	}
	hash := tlog.RecordHash(append(leaf, '}'))
	return tlog.CheckRecord(inclusion, tree.N, tree.Hash, index, hash)
}
