package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/schemas"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

// walletCmd is a person's wallet on the command line.
type walletCmd struct {
	Data   string `help:"Data directory of the demo whose registry is trusted." default:"dojang-data" type:"path" placeholder:"DIR"`
	Wallet string `help:"Directory of the wallet; default: DATA/wallets/me." type:"path" placeholder:"DIR"`
	Lang   string `help:"Language of labels." default:"en" enum:"ko,en"`
	JSON   bool   `help:"Print JSON lines only."`

	Receive walletReceive `cmd:"" help:"Receive what a credential offer link offers."`
	List    walletList    `cmd:"" help:"Show what the wallet holds."`
	Present walletPresent `cmd:"" help:"Show who asks for what, and send it after a yes."`
}

// AfterApply hands the common flags to the subcommands.
func (c *walletCmd) AfterApply() error {
	if c.Wallet == "" {
		c.Wallet = filepath.Join(c.Data, "wallets", "me")
	}
	c.Receive.common, c.List.common, c.Present.common = c, c, c
	return nil
}

// open opens the wallet against the registry that the demo runs.
func (c *walletCmd) open(e *env) (*holder.Holder, func(), error) {
	d, err := readDemo(c.Data)
	if err != nil {
		return nil, nil, err
	}
	clock := &clock{}
	if text, err := control(e.ctx, d.Control, "/clock"); err != nil {
		return nil, nil, err
	} else if ahead, err := time.ParseDuration(text); err == nil {
		clock.Set(ahead) // the demo's parties and its wallets live at one time
	}
	origins := []string{d.Registry.URL, d.Issuer.URL, d.Verifier.URL, d.Status.URL, d.WalletAPI.URL}
	return openWallet(e.ctx, walletConfig{
		dir: c.Wallet, trust: filepath.Join(c.Data, trustFile), registry: d.Registry.URL, origins: origins, lang: c.Lang, now: clock.Now, provider: d.WalletAPI.URL,
	})
}

// walletConfig says where a wallet lies and whom it trusts.
type walletConfig struct {
	dir      string
	trust    string // trust file
	registry string // URL of a node
	origins  []string
	lang     string
	now      func() time.Time
	light    *light.Client // nil: one of its own
	provider string        // URL of the wallet provider; "": none
}

func openWallet(ctx context.Context, c walletConfig) (*holder.Holder, func(), error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, nil, err
	}
	pass, err := passphrase(c.dir)
	if err != nil {
		return nil, nil, err
	}
	store, err := openKeys(filepath.Join(c.dir, "keys"), pass)
	if err != nil {
		return nil, nil, err
	}
	secret, err := store.Secret("seal")
	if err != nil {
		return nil, nil, err
	}
	tracker := c.light
	if tracker == nil {
		if tracker, err = openLight(lightConfig{trust: c.trust, nodes: []string{c.registry}, dir: filepath.Join(c.dir, "registry"), now: c.now}); err != nil {
			return nil, nil, err
		}
	}
	client, err := httpd.NewClient(httpd.ClientConfig{Origins: c.origins})
	if err != nil {
		return nil, nil, err
	}
	path, err := absolute(c.dir, "wallet.db")
	if err != nil {
		return nil, nil, err
	}
	db, err := sqldb.Open(ctx, "sqlite://"+path)
	if err != nil {
		return nil, nil, err
	}
	h, err := holder.New(ctx, holder.Config{
		DB: db, Secret: secret, HTTP: client, Registry: tracker, Status: tracker, Evidence: statusEvidence{tracker}, Provider: c.provider,
		AllowHTTP: within(c.origins), Language: c.lang, Now: c.now,
	})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return h, func() { db.Close() }, nil
}

// statusEvidence asks the tracker for all that a verifier wants stapled, at one height.
type statusEvidence struct{ *light.Client }

func (s statusEvidence) StatusEvidence(ctx context.Context, did registry.DID, kid, vct string) ([]byte, error) {
	return s.Evidence(ctx, light.Query{DID: did, Keys: []string{kid}, Types: []string{vct}, Status: true})
}

// within tells exact origins of the configuration from every other URL.
func within(origins []string) func(url string) bool {
	return func(url string) bool {
		for _, o := range origins {
			if rest, ok := strings.CutPrefix(url, o); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
				return true
			}
		}
		return false
	}
}

type walletReceive struct {
	common *walletCmd
	Link   string `arg:"" help:"openid-credential-offer://…"`
	TxCode string `help:"Transaction code that came by a second channel."`
}

func (c *walletReceive) Run(e *env) error {
	w, done, err := c.common.open(e)
	if err != nil {
		return err
	}
	defer done()
	offer, err := w.Offer(e.ctx, c.Link)
	if err != nil {
		return refusedBy(err, c.common.Lang)
	}
	received, err := w.Receive(e.ctx, offer, c.TxCode)
	if err != nil {
		return refusedBy(err, c.common.Lang)
	}
	for _, r := range received {
		if c.common.JSON {
			err = e.print(map[string]any{"id": r.ID, "vct": r.VCT, "issuer": r.Issuer, "copies": r.Copies, "expires": r.Expires})
		} else {
			_, err = fmt.Fprintf(e.stdout, "Received %s from %s: %d copies, valid until %s.\n", offer.Types[0].Label, offer.IssuerName, r.Copies, r.Expires.Format(time.DateOnly))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type walletList struct{ common *walletCmd }

func (c *walletList) Run(e *env) error {
	w, done, err := c.common.open(e)
	if err != nil {
		return err
	}
	defer done()
	if err := w.Refresh(e.ctx); err != nil {
		e.log.Warn("statuses are those of the last refresh", "error", err)
	}
	cards, err := w.List(e.ctx)
	if err != nil {
		return err
	}
	if len(cards) == 0 && !c.common.JSON {
		text := map[string]string{"ko": "아직 보관한 증명서가 없습니다", "en": "No certificates yet"}
		_, err = fmt.Fprintln(e.stdout, text[c.common.Lang])
		return err
	}
	for _, card := range cards {
		if c.common.JSON {
			err = e.print(map[string]any{"id": card.ID, "vct": card.VCT, "label": card.Label, "issuer": card.Issuer,
				"status": card.Status, "expires": card.Expires, "days_left": card.DaysLeft, "copies_left": card.CopiesLeft})
		} else {
			_, err = fmt.Fprintf(e.stdout, "%s %-14s %3d days left, %d copies  (%s)\n", pad(card.Label, 28), card.Status, card.DaysLeft, card.CopiesLeft, card.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pad fills a label to a width on a terminal, where a Hangul syllable takes two columns.
func pad(label string, width int) string {
	for _, r := range label {
		width--
		if r >= 0x1100 {
			width--
		}
	}
	return label + strings.Repeat(" ", max(0, width))
}

type walletPresent struct {
	common *walletCmd
	Link   string `arg:"" help:"openid4vp://…"`
	Yes    bool   `help:"Agree without being asked."`
}

func (c *walletPresent) Run(e *env) error {
	w, done, err := c.common.open(e)
	if err != nil {
		return err
	}
	defer done()
	consent, err := w.Consent(e.ctx, c.Link)
	if err != nil {
		// The person has seen why; the verifier hears no more than that nothing comes.
		if rerr := w.Report(e.ctx, err); rerr != nil {
			e.log.Warn("the verifier was not told", "error", rerr)
		}
		return refusedBy(err, c.common.Lang)
	}
	if !c.common.JSON {
		showConsent(e, consent, c.common.Lang)
	}
	if !c.Yes && !agree(e, c.common.Lang) {
		if err := w.Decline(e.ctx, consent); err != nil {
			return err
		}
		return fmt.Errorf("%w: declined, nothing was sent", errCheck)
	}
	sent, err := w.Present(e.ctx, consent)
	if err != nil {
		return refusedBy(err, c.common.Lang)
	}
	if c.common.JSON {
		return e.print(map[string]any{"id": sent.ID, "redirect_uri": sent.RedirectURI, "stapled": sent.Stapled, "reused": sent.Reused})
	}
	text := map[string]string{"ko": "제출했습니다.", "en": "Submitted."}
	_, err = fmt.Fprintln(e.stdout, text[c.common.Lang])
	return err
}

// showConsent prints who asks, for what, and which items would leave (texts of the consent screen).
func showConsent(e *env, c *holder.Consent, lang string) {
	say := func(ko, en string, args ...any) {
		fmt.Fprintf(e.stdout, schemas.Text{Ko: ko, En: en}.In(lang)+"\n", args...)
	}
	items := func(always bool, ko, en string) {
		for _, item := range c.Items {
			if item.Always != always {
				continue
			}
			if ko != "" {
				say(ko, en)
				ko = ""
			}
			fmt.Fprintf(e.stdout, "  · %s (%s)\n", item.Label, item.Credential)
		}
	}
	say("%s이(가) 확인을 요청했습니다", "%s asks you to confirm", c.Name)
	say("이용 목적: %s", "Purpose: %s", c.PurposeText)
	if len(c.LegalBasis) > 0 {
		say("근거 법령: %s", "Legal basis: %s", strings.Join(c.LegalBasis, ", "))
	}
	days := "days"
	if c.RetentionDays == 1 {
		days = "day"
	}
	say("보유 기간: %d일 후 파기", "Kept for %d "+days+", then deleted", c.RetentionDays)
	items(false, "꼭 필요한 항목", "Required")
	items(true, "증명서와 함께 늘 보이는 항목", "Always shown with the certificate")
}

// agree asks for consent.
func agree(e *env, lang string) bool {
	text := map[string]string{"ko": "동의하고 보여 주기? [y/N] ", "en": "Agree and show? [y/N] "}
	return confirmed(e, text[lang])
}

// confirmed asks on the terminal; without one the answer is no.
func confirmed(e *env, question string) bool {
	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	fmt.Fprint(e.stderr, question)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		fmt.Fprintln(e.stdout) // no answer: what follows begins a line
	}
	return err == nil && strings.EqualFold(strings.TrimSpace(line), "y")
}
