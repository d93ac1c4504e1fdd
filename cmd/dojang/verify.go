package main

import (
	"errors"
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
	Head  string    `help:"Published head instead of a trust file: then no validator's key is needed." type:"path" placeholder:"FILE"`
	At    time.Time `help:"Check as if it were this moment (RFC 3339); default: now."`
	JSON  bool      `help:"Print JSON lines only."`

	InForceAt moment `help:"Was it all in force at that moment? The Evidence must have been asked for with it (--at)." placeholder:"MOMENT"`
	KnownAt   moment `help:"The same, as it was known at that moment (--known)." placeholder:"MOMENT"`
	Index     int64  `help:"Entry of the status list that the Evidence shows (--list)." default:"-1" placeholder:"N"`
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

	Moments []answered     `json:"moments,omitempty"`
	Headers []provenHeader `json:"headers,omitempty"` // older ones, under the head
}

// trust is where checking begins: a published head, or the trust file.
func (c *verifyEvidence) trust() (evidence.Trust, error) {
	if c.Head == "" {
		trust, _, err := readTrust(c.Trust)
		return trust, err
	}
	head, err := readHead(c.Head)
	return head.Trust(), err
}

func (c *verifyEvidence) Run(e *env) error {
	trust, err := c.trust()
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
	out := verifyJSON{OK: true, Network: trust.Network, Height: head.Height, KnownAt: head.KnownAt, Header: fmt.Sprintf("%x", facts.HeadHash()), Facts: facts.Keys(), Says: sayFacts(facts), Headers: provenHeaders(facts, nil)}
	out.Headers = out.Headers[:len(out.Headers)-1]
	if !c.InForceAt.at.IsZero() || !c.KnownAt.at.IsZero() || c.Index >= 0 {
		questions := askedAbout(facts)
		if c.Index >= 0 {
			if err := askedEntry(facts, questions, uint64(c.Index)); err != nil {
				return err
			}
		}
		for _, q := range questions {
			out.Moments = append(out.Moments, answers(facts, q, evidence.Moment{At: c.InForceAt.at, Known: c.KnownAt.at})...)
		}
	}
	if c.JSON {
		return errors.Join(e.print(out), unanswered(out.Moments))
	}
	fmt.Fprintf(e.stdout, "It holds: proven by block %d of %s, as known at %s.\n", out.Height, trust.ChainID, out.KnownAt.Format(time.RFC3339))
	fmt.Fprint(e.stdout, listed(out.Says), listMoment(out.Moments, out.Headers))
	return unanswered(out.Moments)
}

// readLimited reads at most n bytes.
func readLimited(r io.Reader, n int64) ([]byte, error) { return io.ReadAll(io.LimitReader(r, n)) }
