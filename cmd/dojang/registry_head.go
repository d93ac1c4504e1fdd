package main

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/rfc3161"
)

// registryHeadCmd publishes heads of the chain: whoever keeps one checks every fact before it without any key or server.
//
//	head-N.json  machine file (evidence.Head), for dojang verify
//	head-N.txt   the notice for people, Korean and English, to be printed
//	head-N.cbor  what proves older headers under it (evidence.Bridge); public
//	head-N.tsr   answer of a time stamp authority over it (RFC 3161)
type registryHeadCmd struct {
	Export registryHeadExport `cmd:"" help:"Write the newest head of one's own node for publication, with a time stamp if wanted."`
	Stamp  registryHeadStamp  `cmd:"" help:"Get a time stamp (RFC 3161) over a head that was exported."`
	Bridge registryHeadBridge `cmd:"" help:"Make receipts hold under a published head."`
}

// tsaFlags name a time stamp authority.
type tsaFlags struct {
	TSA     string `help:"URL of a time stamp authority (RFC 3161): https, or http on loopback." name:"tsa" placeholder:"URL"`
	TSARoot string `help:"Root certificate of that authority, PEM: a stamp that nobody can check is not kept." name:"tsa-root" type:"existingfile" placeholder:"FILE"`
}

type registryHeadExport struct {
	Home string `arg:"" help:"Home of the own, running node." type:"existingdir"`
	Dir  string `arg:"" help:"Folder to write to." type:"path"`
	JSON bool   `help:"Print JSON lines only."`
	tsaFlags
}

func (c *registryHeadExport) Run(e *env) error {
	party, err := nodeHome(c.Home).management()
	if err != nil {
		return err
	}
	head, proof, err := ownHead(e, party)
	if err != nil {
		return err
	}
	files := map[string][]byte{"cbor": proof}
	if files["json"], err = head.Marshal(); err != nil {
		return err
	}
	if files["txt"], err = notice(head); err != nil {
		return err
	}
	if c.TSA != "" {
		if files["tsr"], _, err = c.stamp(e, head); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	base := filepath.Join(c.Dir, "head-"+strconv.FormatUint(head.Height, 10))
	for _, ext := range []string{"cbor", "txt", "tsr", "json"} { // the machine file last: the others belong to it
		if files[ext] == nil {
			continue
		}
		if err := errors.Join(mustBeNew(base+"."+ext), writeFile(base+"."+ext, files[ext])); err != nil {
			return err
		}
	}
	if c.JSON {
		return e.print(map[string]any{"head": base + ".json", "height": head.Height, "hash": fmt.Sprintf("%x", head.Hash), "stamped": files["tsr"] != nil})
	}
	_, err = fmt.Fprintf(e.stdout, "%s\n%s.json\n", files["txt"], base)
	return err
}

// ownHead asks the own node, which its operator may believe.
func ownHead(e *env, party partyJSON) (evidence.Head, []byte, error) {
	var raw json.RawMessage
	if err := call(e.ctx, party, http.MethodGet, "/v1/trust", nil, &raw); err != nil {
		return evidence.Head{}, nil, err
	}
	trust, err := evidence.ParseTrust(raw)
	if err != nil {
		return evidence.Head{}, nil, err
	}
	var answer light.HeadAnswer
	if err := call(e.ctx, party, http.MethodGet, light.HeadPath, nil, &answer); err != nil {
		return evidence.Head{}, nil, err
	}
	head, _, err := evidence.HeadOfProof(answer.Evidence, trust, time.Now())
	if err != nil {
		return evidence.Head{}, nil, fmt.Errorf("the node's head: %w", err)
	}
	return head, answer.Evidence, nil
}

// notice is the page for people.
func notice(head evidence.Head) ([]byte, error) {
	ko, err := head.Notice("ko")
	if err != nil {
		return nil, err
	}
	en, err := head.Notice("en")
	return []byte(ko + "\n" + strings.Repeat("-", 72) + "\n\n" + en), err
}

type registryHeadStamp struct {
	Head string `arg:"" help:"head-N.json; the answer goes to head-N.tsr beside it." type:"existingfile"`
	tsaFlags
}

func (c *registryHeadStamp) Run(e *env) error {
	head, err := readHead(c.Head)
	if err != nil {
		return err
	}
	out := strings.TrimSuffix(c.Head, ".json") + ".tsr"
	if err := mustBeNew(out); err != nil {
		return err
	}
	if c.TSA == "" {
		return errors.New("--tsa is required")
	}
	reply, stamp, err := c.stamp(e, head)
	if err != nil {
		return err
	}
	if err := writeFile(out, reply); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s\n  stamped at %s by %s\n", out, stamp.Time.Format(time.RFC3339), stamp.Authority)
	return err
}

// stamp asks the authority and takes nothing that does not verify.
func (c tsaFlags) stamp(e *env, head evidence.Head) ([]byte, rfc3161.Stamp, error) {
	roots, err := readRoots(c.TSARoot)
	if err != nil {
		return nil, rfc3161.Stamp{}, err
	}
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return nil, rfc3161.Stamp{}, err
	}
	random[0] |= 0x40
	query := rfc3161.Request{Digest: head.Digest(), Nonce: new(big.Int).SetBytes(random)}
	reply, err := c.ask(e, query)
	if err != nil {
		return nil, rfc3161.Stamp{}, fmt.Errorf("time stamp authority: %w", err)
	}
	stamp, err := checkStamp(reply, head, rfc3161.Expect{Nonce: query.Nonce, Roots: roots, Now: time.Now()})
	if err == nil && time.Since(stamp.Time) > stampDelay {
		err = fmt.Errorf("%w: its clock is behind", rfc3161.ErrTime)
	}
	if err != nil {
		return nil, rfc3161.Stamp{}, fmt.Errorf("%w: time stamp authority: %w", errCheck, err)
	}
	return reply, stamp, nil
}

// stampDelay is how old a stamp may be that has just come.
const stampDelay = 5 * time.Minute

func (c tsaFlags) ask(e *env, query rfc3161.Request) ([]byte, error) {
	u, err := url.Parse(c.TSA)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, errors.New("--tsa is https, or http on loopback")
	}
	cfg := httpd.ClientConfig{MaxBody: rfc3161.MaxReply}
	if u.Scheme == "http" {
		cfg.Origins = []string{"http://" + u.Host}
	}
	client, err := httpd.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	body, err := query.Marshal()
	if err != nil {
		return nil, err
	}
	res, err := client.Do(e.ctx, httpd.Request{Method: http.MethodPost, URL: c.TSA, Body: body, Header: http.Header{"Content-Type": {rfc3161.TypeQuery}}})
	if err != nil {
		return nil, err
	}
	if res.Status != http.StatusOK || res.ContentType != rfc3161.TypeReply {
		return nil, fmt.Errorf("it answered with status %d, and not with a time stamp", res.Status)
	}
	return res.Body, nil
}

// checkStamp verifies an answer over a head.
func checkStamp(reply []byte, head evidence.Head, e rfc3161.Expect) (rfc3161.Stamp, error) {
	token, err := rfc3161.Token(reply)
	if err != nil {
		return rfc3161.Stamp{}, err
	}
	e.Digest = head.Digest()
	stamp, err := rfc3161.Check(token, e)
	if err == nil && stamp.Time.Add(stamp.Accuracy+time.Minute).Before(head.Time) {
		err = fmt.Errorf("%w: before the head was there", rfc3161.ErrTime)
	}
	return stamp, err
}

func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, errors.New("--tsa-root is required")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return roots, nil
}

func readHead(file string) (evidence.Head, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return evidence.Head{}, err
	}
	head, err := evidence.ParseHead(raw)
	if err != nil {
		return evidence.Head{}, fmt.Errorf("%s: %w", file, err)
	}
	return head, nil
}

// registryHeadBridge needs a node only for hashes that it could not lie about.
type registryHeadBridge struct {
	Head     string   `arg:"" help:"head-N.json, with head-N.cbor beside it." type:"existingfile"`
	Receipts []string `arg:"" help:"Receipts; replaced by ones that hold under that head." type:"existingfile"`
	Node     []string `help:"URLs of nodes, asked in order." placeholder:"URL"`
	Network  string   `help:"Network file, for the URLs of its nodes." type:"existingfile" placeholder:"FILE"`
}

func (c *registryHeadBridge) Run(e *env) error {
	head, err := readHead(c.Head)
	if err != nil {
		return err
	}
	proof, err := os.ReadFile(strings.TrimSuffix(c.Head, ".json") + ".cbor")
	if err != nil {
		return err
	}
	nodes, err := nodeURLs(c.Node, c.Network)
	if err != nil {
		return err
	}
	for _, name := range c.Receipts {
		r, err := readReceipt(name)
		if err != nil {
			return err
		}
		r, err = light.Bridge(e.ctx, nodes, light.Bridging{Receipt: r, Head: head, Proof: proof, Now: time.Now()})
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errCheck, name, err)
		}
		raw, err := r.Marshal()
		if err == nil {
			err = writeFile(name, raw)
		}
		if err == nil {
			_, err = fmt.Fprintf(e.stdout, "%s holds under block %d\n", name, head.Height)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nodeURLs are those given, or those of a network file.
func nodeURLs(given []string, network string) ([]string, error) {
	for _, node := range given {
		if err := checkURL(node); err != nil {
			return nil, fmt.Errorf("--node: %w", err)
		}
	}
	if len(given) > 0 {
		return given, nil
	}
	if network == "" {
		return nil, errors.New("--node URL or --network FILE is required")
	}
	raw, err := os.ReadFile(network)
	if err != nil {
		return nil, err
	}
	n, err := parseNetwork(raw)
	if err != nil {
		return nil, err
	}
	for _, c := range n.Cards {
		given = append(given, c.URL)
	}
	return given, nil
}
