package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dojang-id/dojang/registry/evidence"
)

// verifyCmd is the offline checker: it needs the file and a trust file, no network and no server.
type verifyCmd struct {
	Evidence verifyEvidence `cmd:"" help:"Check an Evidence file against a trust file, offline."`
	Receipt  verifyReceipt  `cmd:"" help:"Check the receipt of a time anchor against a published head, offline."`
	Head     verifyHead     `cmd:"" help:"Show a published head, and check the time stamp over it, offline."`
}

type verifyEvidence struct {
	File  string    `arg:"" help:"Evidence file (CBOR), or - for standard input." type:"path"`
	Trust string    `help:"Trust file or trust bundle." default:"dojang-data/trust.json" type:"path" placeholder:"FILE"`
	At    time.Time `help:"Check as if it were this moment (RFC 3339); default: now."`
	JSON  bool      `help:"Print JSON lines only."`
}

// verifyJSON says what held.
type verifyJSON struct {
	OK      bool      `json:"ok"`
	Network string    `json:"network,omitempty"`
	Height  uint64    `json:"height,omitempty"`
	KnownAt time.Time `json:"known_at,omitzero"`
	Header  string    `json:"header,omitempty"`
	Facts   []string  `json:"facts,omitempty"`
	Says    []said    `json:"says,omitempty"` // the same in words
	Error   string    `json:"error,omitempty"`
}

func (c *verifyEvidence) Run(e *env) error {
	trust, _, err := readTrust(c.Trust)
	if err != nil {
		return err
	}
	var file []byte
	if c.File == "-" {
		file, err = readLimited(os.Stdin, evidence.MaxSize+1)
	} else {
		file, err = os.ReadFile(c.File)
	}
	if err != nil {
		return fmt.Errorf("read the Evidence: %w", err)
	}
	now := c.At
	if now.IsZero() {
		now = time.Now()
	}
	facts, err := evidence.Check(file, trust, now)
	if err != nil {
		if c.JSON {
			if err := e.print(verifyJSON{Error: err.Error()}); err != nil {
				return err
			}
		}
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	head := facts.Head()
	out := verifyJSON{OK: true, Network: trust.Network, Height: head.Height, KnownAt: head.KnownAt, Header: fmt.Sprintf("%x", facts.HeadHash()), Facts: facts.Keys(), Says: sayFacts(facts)}
	if c.JSON {
		return e.print(out)
	}
	fmt.Fprintf(e.stdout, "It holds: proven by block %d of %s, as known at %s.\n", out.Height, trust.ChainID, out.KnownAt.Format(time.RFC3339))
	fmt.Fprint(e.stdout, listed(out.Says))
	return nil
}

// readLimited reads at most n bytes.
func readLimited(r io.Reader, n int64) ([]byte, error) { return io.ReadAll(io.LimitReader(r, n)) }
