package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer/operator"
	"github.com/dojang-id/dojang/registry"
)

// statusOperatorCmd is an issuer's second status operator, at another site (registry/README.md).
type statusOperatorCmd struct {
	Run    statusOperatorRun    `cmd:"" help:"Re-date the issuer's lists when it does not, and serve them to registry nodes."`
	Worsen statusOperatorWorsen `cmd:"" help:"Suspend or revoke entries of the issuer's lists."`
}

// operatorFlags say for whom, with which keys, and where the chain is.
type operatorFlags struct {
	Dir    string   `arg:"" help:"Folder that \"dojang registry did create --use status\" has made." type:"existingdir"`
	Issuer string   `help:"DID of the issuer." required:"" placeholder:"DID"`
	Type   string   `help:"Credential type of the accreditation that names this operator." required:"" placeholder:"URN"`
	Number uint64   `help:"Number of that accreditation." default:"1"`
	Trust  string   `help:"Trust file." required:"" type:"existingfile" placeholder:"FILE"`
	Node   []string `help:"URL of a registry node; name at least two of different bodies." required:"" placeholder:"URL"`

	Every    time.Duration `help:"Time between two epochs; as long as the issuer's own heartbeat, or longer." default:"1h"`
	Patience time.Duration `help:"Wait so long after the issuer's next_update has passed." default:"0s"`
	passphraseFlags
}

func (c operatorFlags) open(e *env, log *slog.Logger) (*operator.Operator, error) {
	home := nodeHome(c.Dir)
	name := filepath.Base(filepath.Clean(c.Dir))
	text, err := os.ReadFile(home.path("did.txt"))
	if err != nil {
		return nil, err
	}
	did, err := registry.ParseDID(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", home.path("did.txt"), err)
	}
	store, err := c.store(home, "keys")
	if err != nil {
		return nil, err
	}
	kid := string(registry.UseStatus) + "-1"
	signer, err := store.Signer(name + "." + kid)
	if err != nil {
		return nil, fmt.Errorf("open the status key: %w", err)
	}
	var chain [][]byte
	switch pem, err := os.ReadFile(home.path(name + "-leaf.pem")); {
	case err == nil:
		leaf, err := keys.ReadPEM(pem)
		if err != nil {
			return nil, fmt.Errorf("read the certificate: %w", err)
		}
		for _, c := range leaf {
			chain = append(chain, c.Raw)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	tracker, err := openLight(lightConfig{trust: c.Trust, nodes: c.Node, dir: home.path("chain"), now: time.Now, env: e})
	if err != nil {
		return nil, err
	}
	issuer, err := registry.ParseDID(c.Issuer)
	if err != nil {
		return nil, err
	}
	trust, _, err := readTrust(c.Trust)
	if err != nil {
		return nil, err
	}
	return operator.New(operator.Config{
		Issuer: issuer, Via: registry.AccreditationRef{Type: c.Type, N: c.Number}, DID: did, KeyID: kid, Key: keys.Checked(signer), X5C: chain,
		Chain: tracker, Submitter: tracker, Network: trust.Network, ChainID: trust.ChainID,
		Dir: home.path("lists"), Now: time.Now, Log: log, Every: c.Every, Patience: c.Patience,
	})
}

type statusOperatorRun struct {
	operatorFlags
	Listen string `help:"host:port that registry nodes fetch from: the endpoint of this operator's StatusListPublisher." required:"" placeholder:"HOST:PORT"`
}

func (c *statusOperatorRun) Run(e *env) error {
	log := slog.New(slog.NewJSONHandler(e.stderr, nil))
	o, err := c.open(e, log)
	if err != nil {
		return err
	}
	server, err := httpd.Serve(e.ctx, httpd.ServeConfig{Listen: c.Listen, Handler: o.Handler(), Log: log})
	if err != nil {
		return err
	}
	log.Info("second status operator", "issuer", c.Issuer, "url", server.URL())
	err = o.Run(e.ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 5*time.Second)
	defer cancel()
	if stopped := server.Stop(stop); e.ctx.Err() != nil {
		return stopped
	}
	return err
}

// statusOperatorWorsen is for an officer who may open the key. Which entries belong to a credential the issuer's own index says.
type statusOperatorWorsen struct {
	operatorFlags
	To      string   `help:"suspended or revoked." enum:"suspended,revoked" required:""`
	Officer string   `help:"Who decided; kept in decisions.jsonl." required:""`
	Reason  string   `help:"Reason, a code of the office; no names." required:""`
	Entries []string `arg:"" help:"Entries: status URI, '#', index. All copies of a credential in one call."`
}

func (c *statusOperatorWorsen) Run(e *env) error {
	d := operator.Decision{Officer: c.Officer, Reason: c.Reason, To: statuslist.Suspended}
	if c.To == "revoked" {
		d.To = statuslist.Revoked
	}
	for _, text := range c.Entries {
		uri, index, ok := strings.Cut(text, "#")
		n, err := strconv.ParseUint(index, 10, 31)
		if !ok || err != nil || uri == "" {
			return errors.New("an entry is <status URI>#<index>")
		}
		d.Entries = append(d.Entries, statuslist.Reference{URI: uri, Index: n})
	}
	o, err := c.open(e, e.log)
	if err != nil {
		return err
	}
	switch err := o.Worsen(e.ctx, d); {
	case errors.Is(err, operator.ErrNotWorse), errors.Is(err, operator.ErrNoEntry):
		return fmt.Errorf("%w: %w", errCheck, err)
	case err != nil:
		return err
	}
	return e.print(map[string]any{"entries": len(d.Entries), "status": c.To})
}
