package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/rfc3161"
)

// verifyReceipt needs the receipt, the document and one published head: no key and no server.
type verifyReceipt struct {
	File     string `arg:"" help:"Receipt of a time anchor." type:"path"`
	Head     string `help:"Published head, machine file." required:"" type:"path" placeholder:"FILE"`
	Document string `help:"The document as it was issued." type:"path" xor:"what" placeholder:"FILE"`
	Leaf     string `help:"Its salted digest, hexadecimal, instead of the document." xor:"what" placeholder:"HEX"`
	JSON     bool   `help:"Print JSON lines only."`
}

// receiptJSON says what held.
type receiptJSON struct {
	OK     bool      `json:"ok"`
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Height uint64    `json:"height,omitempty"`
	Head   uint64    `json:"head,omitempty"`
	Error  string    `json:"error,omitempty"`
}

func readReceipt(name string) (*evidence.Receipt, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r, err := evidence.ParseReceipt(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errCheck, name, err)
	}
	return r, nil
}

// leaf is what the receipt must be of.
func (c *verifyReceipt) leaf(r *evidence.Receipt) ([32]byte, error) {
	if c.Document != "" {
		issued, err := os.ReadFile(c.Document)
		return evidence.AnchorLeaf(r.Salt, issued), err
	}
	raw, err := hex.DecodeString(c.Leaf)
	if err != nil || len(raw) != 32 {
		return [32]byte{}, errors.New("--document FILE or --leaf HEX is required: a receipt says nothing by itself")
	}
	return [32]byte(raw), nil
}

var errNotUnder = errors.New("the receipt was not made for this head (dojang registry head bridge does it), or is of another chain")

func (c *verifyReceipt) check() (evidence.Anchored, evidence.Head, error) {
	head, err := readHead(c.Head)
	if err != nil {
		return evidence.Anchored{}, head, err
	}
	r, err := readReceipt(c.File)
	if err != nil {
		return evidence.Anchored{}, head, err
	}
	leaf, err := c.leaf(r)
	if err != nil {
		return evidence.Anchored{}, head, err
	}
	out, err := r.CheckLeaf(leaf, head.Trust(), time.Now())
	if height, _, herr := r.Head(); err != nil && r.Bridge == nil && (herr != nil || height != head.Height) {
		err = errNotUnder
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", errCheck, err)
	}
	return out, head, err
}

func (c *verifyReceipt) Run(e *env) error {
	out, head, err := c.check()
	if err != nil {
		if c.JSON && errors.Is(err, errCheck) {
			err = errors.Join(err, e.print(receiptJSON{Error: err.Error()}))
		}
		return err
	}
	if c.JSON {
		return e.print(receiptJSON{OK: true, By: string(out.By), At: out.At, Height: out.Height, Head: head.Height})
	}
	_, err = fmt.Fprintf(e.stdout, "It holds: the document existed at %s, anchored in block %d of %s\n  by %s\n  under the published head of block %d, %s\n",
		out.At.Format(time.RFC3339), out.Height, head.ChainID, out.By, head.Height, head.Time.Format(time.RFC3339))
	return err
}

// verifyHead checks what stands beside a published head.
type verifyHead struct {
	File    string `arg:"" help:"Published head, machine file." type:"path"`
	Stamp   string `help:"Answer of a time stamp authority over it (.tsr)." type:"path" placeholder:"FILE"`
	TSARoot string `help:"Root certificate of that authority, PEM." name:"tsa-root" type:"path" placeholder:"FILE"`
	JSON    bool   `help:"Print JSON lines only."`
}

type headJSON struct {
	OK        bool      `json:"ok"`
	Height    uint64    `json:"height,omitempty"`
	Hash      string    `json:"hash,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	StampedAt time.Time `json:"stamped_at,omitzero"`
	Authority string    `json:"authority,omitempty"`
	Error     string    `json:"error,omitempty"`
}

func (c *verifyHead) Run(e *env) error {
	head, err := readHead(c.File)
	if errors.Is(err, registry.ErrMalformed) {
		err = fmt.Errorf("%w: %w", errCheck, err)
	}
	if err != nil {
		return err
	}
	out := headJSON{OK: true, Height: head.Height, Hash: hex.EncodeToString(head.Hash[:]), Time: head.Time}
	if c.Stamp != "" {
		reply, err := os.ReadFile(c.Stamp)
		if err != nil {
			return err
		}
		roots, err := readRoots(c.TSARoot)
		if err != nil {
			return err
		}
		stamp, err := checkStamp(reply, head, rfc3161.Expect{Roots: roots, Now: time.Now()})
		if err != nil {
			err = fmt.Errorf("%w: %w", errCheck, err)
			if c.JSON {
				err = errors.Join(err, e.print(headJSON{Error: err.Error()}))
			}
			return err
		}
		out.StampedAt, out.Authority = stamp.Time, stamp.Authority
	}
	if c.JSON {
		return e.print(out)
	}
	text, err := notice(head)
	if err != nil {
		return err
	}
	if _, err := e.stdout.Write(text); err != nil || out.Authority == "" {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "\nThe time stamp holds: %s, by %s.\n", out.StampedAt.Format(time.RFC3339), out.Authority)
	return err
}
