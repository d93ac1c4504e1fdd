package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// demoRun starts the ecosystem.
type demoRun struct {
	data   string
	Listen string `help:"HOST:PORT of the first service; the others take the ports after it. 0 picks free ports. Default: localhost:8600, or the ports that the data directory has." placeholder:"HOST:PORT"`
	Fresh  bool   `help:"Delete the data directory first, if it is a demo's."`
	Once   bool   `help:"Tell the whole story, outage included, and end."`
	JSON   bool   `help:"Print JSON lines only."`
}

// Run starts everything, writes demo.json when all health endpoints answer, tells the story, and stays until a signal comes.
func (c *demoRun) Run(e *env) (err error) {
	unlock, err := prepareDir(c.data, c.Fresh)
	if err != nil {
		return err
	}
	defer unlock()
	file := filepath.Join(c.data, demoFile)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ports, err := choosePorts(c.data, c.Listen)
	if err != nil {
		return err
	}
	eco, err := start(e.ctx, e, c.data, ports)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eco.stop()) }()
	description, err := eco.describe(os.Getpid())
	if err != nil {
		return err
	}
	board, err := newSwitchboard(description.Control, eco)
	if err != nil {
		return err
	}
	defer board.Close()
	if err := description.write(c.data); err != nil {
		return err
	}
	defer os.Remove(file)
	s := &story{e: e, eco: eco, d: description, tell: c.tell(e)}
	if c.Once {
		return s.run(append(s.peaceful(), s.disaster()...))
	}
	if !c.JSON {
		c.welcome(e, description)
	}
	if err := s.run(s.peaceful()); err != nil && e.ctx.Err() == nil {
		e.log.Error("the story does not hold; the parts keep running", "error", err)
	}
	if !c.JSON {
		c.farewell(e)
	}
	<-e.ctx.Done()
	return nil
}

// tell prints a step as a JSON line or as a sentence.
func (c *demoRun) tell(e *env) func(stepJSON) error {
	return func(s stepJSON) error {
		if c.JSON {
			return e.print(s)
		}
		mark := "✓"
		if !s.OK {
			mark = "✗"
		}
		_, err := fmt.Fprintf(e.stdout, "  %s %-9s %5d ms  %s\n", mark, s.Step, s.MS, sentence(s))
		return err
	}
}

// sentence says in words what a step's other party answered.
func sentence(s stepJSON) string {
	d := s.Detail
	if err, ok := d["error"]; ok {
		return fmt.Sprint(err)
	}
	verdict := func() string {
		text := fmt.Sprintf("%v (%v)", d["decision"], d["code"])
		if at, ok := d["status_as_of"]; ok {
			text += fmt.Sprintf(", status as of %v", at)
		}
		return text
	}
	switch s.Step {
	case "registry":
		return fmt.Sprintf("%v accreditations on %v, proven up to block %v", d["accreditations"], d["network"], d["height"])
	case "import":
		return "the agencies imported their records: " + counts(d["records"])
	case "issue":
		return fmt.Sprintf("%v people received their %v, %v copies", d["people"], d["type"], d["copies"])
	case "present":
		return fmt.Sprintf("%v asked (%v), shown: %s", d["verifier"], d["purpose"], list(d["shown"]))
	case "verify":
		return "the shop's verdict: " + verdict()
	case "revoke":
		return fmt.Sprintf("revoked, published as epoch %v and anchored in block %v", d["sequence"], d["height"])
	case "refused":
		return "the revoked one is refused: " + verdict()
	case "outage":
		return fmt.Sprintf("issuer, status host and registry are off: still %s, %v connections to them; the revoked one stays %v", verdict(), d["connections"], d["revoked"])
	case "stale":
		return fmt.Sprintf("73 hours later nobody has heard anything new: %s; the revoked one stays %v", verdict(), d["revoked"])
	case "restore":
		return "everything is back: " + verdict()
	}
	return fmt.Sprint(d)
}

// counts writes `customs 3, gaon 6`.
func counts(v any) string {
	m, _ := v.(map[string]any)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %v", name, m[name]))
	}
	return strings.Join(parts, ", ")
}

func list(v any) string {
	words, _ := v.([]string)
	return strings.Join(words, ", ")
}

func (c *demoRun) welcome(e *env, d *demoJSON) {
	fmt.Fprintf(e.stdout, `도장 Dojang: the whole ecosystem on this machine.

  registry    %s   who is who, who may issue what, proofs: open it in a browser
  status      %s   status lists under the consortium's name
  issuer      %s   three agencies: /gaon /seoul /customs
  verifier    %s   a company's desk
  wallet-api  %s   a wallet provider's backend
  data        %s

`, d.Registry.URL, d.Status.URL, d.Issuer.URL, d.Verifier.URL, d.WalletAPI.URL, c.data)
}

func (c *demoRun) farewell(e *env) {
	run := "dojang"
	if strings.Contains(os.Args[0], "go-build") {
		run = "go run ./cmd/dojang"
	}
	demo, wallet := run+" demo", run+" wallet"
	if dir, err := filepath.Abs("dojang-data"); err != nil || dir != c.data {
		demo, wallet = demo+" --data "+c.data, wallet+" --data "+c.data
	}
	fmt.Fprintf(e.stdout, `
It keeps running. In another terminal:

  %[1]s offer --type resident-id --person park-nuri      an offer link for any OpenID4VC wallet, or for
  %[2]s receive 'openid-credential-offer://…'          this one
  %[1]s request --policy adult-check                     a request link, for
  %[2]s present 'openid4vp://…'
  %[1]s result --id …
  %[1]s down issuer                                      then present again: it still verifies

Ctrl-C stops; the next start goes on with the same data.
`, demo, wallet)
}
