// Verifies a log's checkpoints, cosignatures, proofs and tiles with Go's
// golang.org/x/mod/sumdb/note and .../tlog. Formats: C2SP tlog-checkpoint,
// tlog-cosignature, tlog-proof, tlog-witness, tlog-tiles.
//
//	tlog_verify inclusion LOG_VKEY WITNESS_VKEY PROOF LEAF
//	tlog_verify consistency LOG_VKEY OLD_NOTE ADD_CHECKPOINT_BODY
//	tlog_verify tiles LOG_VKEY NOTE DIR
//
// Exit status 1 and one line that starts with what failed: note, cosignature,
// inclusion, consistency, tiles or entries.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func fail(what string, format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, what+": "+format+"\n", args...)
	os.Exit(1)
}

func read(name string) []byte {
	data, err := os.ReadFile(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	return data
}

// openNote verifies the log's signature and returns text and tree.
func openNote(vkey string, msg []byte) (string, tlog.Tree) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		fail("note", "%v", err)
	}
	n, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		fail("note", "%v", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		fail("note", "not a checkpoint: %q", n.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		fail("note", "%v", err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		fail("note", "%v", err)
	}
	return n.Text, tlog.Tree{N: size, Hash: root}
}

// checkCosignature verifies a cosignature/v1 of a witness, by hand.
func checkCosignature(vkey string, msg []byte, text string) {
	parts := strings.SplitN(vkey, "+", 3)
	material, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(material) != 33 || material[0] != 4 {
		fail("cosignature", "not a witness's key: %s", vkey)
	}
	name, public := parts[0], ed25519.PublicKey(material[1:])
	id := sha256.Sum256(append([]byte(name+"\n\x04"), public...))
	for _, line := range strings.Split(string(msg), "\n") {
		fields := strings.Split(line, " ")
		if len(fields) != 3 || fields[0] != "\u2014" || fields[1] != name {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(fields[2])
		if err != nil || len(sig) != 4+8+64 || !bytes.Equal(sig[:4], id[:4]) {
			fail("cosignature", "by another key")
		}
		time := binary.BigEndian.Uint64(sig[4:12])
		signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
		if !ed25519.Verify(public, []byte(signed), sig[12:]) {
			fail("cosignature", "does not verify")
		}
		return
	}
	fail("cosignature", "absent")
}

func hashes(lines []string, what string) []tlog.Hash {
	var out []tlog.Hash
	for _, line := range lines {
		h, err := tlog.ParseHash(line)
		if err != nil {
			fail(what, "%v", err)
		}
		out = append(out, h)
	}
	return out
}

// split cuts a file into its head lines and the note after the first empty line.
func split(data []byte, what string) ([]string, []byte) {
	head, rest, found := bytes.Cut(data, []byte("\n\n"))
	if !found {
		fail(what, "no empty line")
	}
	return strings.Split(string(head), "\n"), rest
}

func number(line, prefix, what string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(line, prefix), 10, 64)
	if err != nil || !strings.HasPrefix(line, prefix) {
		fail(what, "bad line %q", line)
	}
	return n
}

func inclusion(logKey, witnessKey string, proof, leaf []byte) {
	head, msg := split(proof, "inclusion")
	if len(head) < 2 || head[0] != "c2sp.org/tlog-proof@v1" {
		fail("inclusion", "not a tlog-proof")
	}
	text, tree := openNote(logKey, msg)
	checkCosignature(witnessKey, msg, text)
	index := number(head[1], "index ", "inclusion")
	path := tlog.RecordProof(hashes(head[2:], "inclusion"))
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
		fail("inclusion", "%v", err)
	}
}

func consistency(logKey string, oldNote, body []byte) {
	head, msg := split(body, "consistency")
	_, older := openNote(logKey, oldNote)
	_, newer := openNote(logKey, msg)
	if number(head[0], "old ", "consistency") != older.N {
		fail("consistency", "another old size")
	}
	proof := tlog.TreeProof(hashes(head[1:], "consistency"))
	if err := tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash); err != nil {
		fail("consistency", "%v", err)
	}
}

// dirTiles reads tiles as tlog-tiles names them.
type dirTiles string

func (d dirTiles) Height() int                     { return 8 }
func (d dirTiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (d dirTiles) path(t tlog.Tile) string {
	return filepath.Join(string(d), strings.Replace(t.Path(), "tile/8/", "tile/", 1))
}
func (d dirTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(d.path(t))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

// stored is a tree that Go builds from the entries.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, s[i])
	}
	return out, nil
}

// tiles reads every leaf hash through tiles that Go authenticates against the
// checkpoint, compares it with the entry in the bundle, and builds the tree anew
// from the entries.
func tiles(logKey string, msg []byte, dir string) {
	_, tree := openNote(logKey, msg)
	reader := tlog.TileHashReader(tree, dirTiles(dir))
	var rebuilt stored
	for start := int64(0); start < tree.N; start += 256 {
		width := tree.N - start
		if width > 256 {
			width = 256
		}
		var indexes []int64
		for i := int64(0); i < width; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, start+i))
		}
		leaves, err := reader.ReadHashes(indexes)
		if err != nil {
			fail("tiles", "%v", err)
		}
		tile := tlog.Tile{H: 8, L: 0, N: start / 256, W: int(width)}
		name := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bundle := read(filepath.Join(dir, name))
		for i, want := range leaves {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				fail("entries", "%s is cut", name)
			}
			length := int(binary.BigEndian.Uint16(bundle))
			if tlog.RecordHash(bundle[2:2+length]) != want {
				fail("entries", "entry %d differs", start+int64(i))
			}
			hashes, err := tlog.StoredHashes(start+int64(i), bundle[2:2+length], rebuilt)
			if err != nil {
				fail("entries", "%v", err)
			}
			rebuilt = append(rebuilt, hashes...)
			bundle = bundle[2+length:]
		}
		if len(bundle) != 0 {
			fail("entries", "%s is too long", name)
		}
	}
	root, err := tlog.TreeHash(tree.N, rebuilt)
	if err != nil || root != tree.Hash {
		fail("entries", "another root than the checkpoint's: %v %v", root, err)
	}
}

func main() {
	args := os.Args[1:]
	switch {
	case len(args) == 5 && args[0] == "inclusion":
		inclusion(args[1], args[2], read(args[3]), read(args[4]))
	case len(args) == 4 && args[0] == "consistency":
		consistency(args[1], read(args[2]), read(args[3]))
	case len(args) == 4 && args[0] == "tiles":
		tiles(args[1], read(args[2]), args[3])
	default:
		fmt.Fprintln(os.Stderr, "see the comment in tlog_verify.go")
		os.Exit(2)
	}
}
