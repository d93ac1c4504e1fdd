package rfc3161_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"encoding/hex"
	"encoding/pem"

	"github.com/dojang-id/dojang/registry/rfc3161"
	"github.com/dojang-id/dojang/registry/rfc3161/tsatest"
)

var digest = sha256.Sum256([]byte("a published head"))

func request() rfc3161.Request {
	return rfc3161.Request{Digest: digest, Nonce: new(big.Int).SetBytes([]byte("nonce of 16 byte"))}
}

func reply(t testing.TB, a *tsatest.Authority) []byte {
	t.Helper()
	query, err := request().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Reply(query)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ekus(critical bool, oids ...asn1.ObjectIdentifier) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		value, err := asn1.Marshal(oids)
		if err != nil {
			panic(err)
		}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: value}}
	}
}

func TestCheck(t *testing.T) {
	stamping, server := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	now := time.Now()
	for _, tt := range []struct {
		name   string
		cfg    tsatest.Config
		expect func(*rfc3161.Expect)
		bend   func(token []byte) []byte
		err    error
	}{
		{name: "honest"},
		{name: "honest, and looked at in ten years", expect: func(e *rfc3161.Expect) { e.Now = now.AddDate(10, 0, 0); e.Nonce = nil }},
		{name: "wrong nonce", cfg: tsatest.Config{Lie: func(a *tsatest.Answer) { a.Nonce = big.NewInt(77) }}, err: rfc3161.ErrNonce},
		{name: "no nonce", cfg: tsatest.Config{Lie: func(a *tsatest.Answer) { a.Nonce = nil }}, err: rfc3161.ErrNonce},
		{name: "wrong imprint", cfg: tsatest.Config{Lie: func(a *tsatest.Answer) { a.Digest[0] ^= 1 }}, err: rfc3161.ErrImprint},
		{name: "imprint cut short", cfg: tsatest.Config{Lie: func(a *tsatest.Answer) { a.Digest = a.Digest[:20] }}, err: rfc3161.ErrImprint},
		{name: "token of another head", expect: func(e *rfc3161.Expect) { e.Digest[31] ^= 1 }, err: rfc3161.ErrImprint},
		{name: "from the future", cfg: tsatest.Config{Lie: func(a *tsatest.Answer) { a.Time = a.Time.Add(time.Hour) }}, err: rfc3161.ErrTime},
		{name: "refused", cfg: tsatest.Config{Status: 2}, err: rfc3161.ErrRejected},
		{name: "EKU of a server", cfg: tsatest.Config{Certificate: ekus(true, server)}, err: rfc3161.ErrCertificate},
		{name: "EKU for more than stamps", cfg: tsatest.Config{Certificate: ekus(true, stamping, server)}, err: rfc3161.ErrCertificate},
		{name: "EKU not critical", cfg: tsatest.Config{Certificate: ekus(false, stamping)}, err: rfc3161.ErrCertificate},
		{name: "no EKU", cfg: tsatest.Config{Certificate: func(c *x509.Certificate) { c.ExtraExtensions = nil }}, err: rfc3161.ErrCertificate},
		{name: "certificate expired", cfg: tsatest.Config{Certificate: func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) }}, err: rfc3161.ErrCertificate},
		{name: "certificate not valid yet", cfg: tsatest.Config{Certificate: func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }}, err: rfc3161.ErrCertificate},
		{name: "certificate is a CA", cfg: tsatest.Config{Certificate: func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }}, err: rfc3161.ErrCertificate},
		{name: "another root", expect: func(e *rfc3161.Expect) { e.Roots = tsatest.New(t, tsatest.Config{}).Roots() }, err: rfc3161.ErrCertificate},
		{name: "no roots", expect: func(e *rfc3161.Expect) { e.Roots = nil }, err: rfc3161.ErrCertificate},
		{name: "signed by another key", cfg: tsatest.Config{Signer: tsatest.Key(t)}, err: rfc3161.ErrSignature},
		{name: "something after the end", bend: func(b []byte) []byte { return append(bytes.Clone(b), 0) }, err: rfc3161.ErrMalformed},
		{name: "cut", bend: func(b []byte) []byte { return b[:len(b)-3] }, err: rfc3161.ErrMalformed},
		{name: "garbage", bend: func([]byte) []byte { return []byte("<html>200 OK</html>") }, err: rfc3161.ErrMalformed},
		{name: "nothing", bend: func([]byte) []byte { return nil }, err: rfc3161.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := tsatest.New(t, tt.cfg)
			e := rfc3161.Expect{Digest: digest, Nonce: request().Nonce, Roots: a.Roots(), Now: now}
			if tt.expect != nil {
				tt.expect(&e)
			}
			token, err := rfc3161.Token(reply(t, a))
			if tt.bend != nil {
				token = tt.bend(token)
			}
			var stamp rfc3161.Stamp
			if err == nil {
				stamp, err = rfc3161.Check(token, e)
			}
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if tt.err == nil && (stamp.Time.Sub(now).Abs() > time.Minute || stamp.Accuracy != 1500*time.Millisecond || stamp.Authority == "") {
				t.Fatalf("%+v", stamp)
			}
			if tt.err != nil && stamp.Serial != nil {
				t.Fatal("a refused token says something")
			}
		})
	}
}

// Not one flipped bit of what is signed, and of the signature, passes.
func TestEveryByte(t *testing.T) {
	a := tsatest.New(t, tsatest.Config{})
	token, err := rfc3161.Token(reply(t, a))
	if err != nil {
		t.Fatal(err)
	}
	e := rfc3161.Expect{Digest: digest, Nonce: request().Nonce, Roots: a.Roots(), Now: time.Now()}
	want, err := rfc3161.Check(token, e)
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		bent := bytes.Clone(token)
		bent[i] ^= 1
		got, err := rfc3161.Check(bent, e)
		if err == nil && (!got.Time.Equal(want.Time) || got.Serial.Cmp(want.Serial) != 0 || got.Accuracy != want.Accuracy || got.Authority != want.Authority) {
			t.Fatalf("byte %d: %+v", i, got)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, nonce := range []*big.Int{nil, big.NewInt(0), big.NewInt(5), new(big.Int).Neg(request().Nonce)} {
		if _, err := (rfc3161.Request{Digest: digest, Nonce: nonce}).Marshal(); err == nil {
			t.Fatalf("nonce %v was taken", nonce)
		}
	}
	if _, err := rfc3161.Token(bytes.Repeat([]byte{0x30}, rfc3161.MaxReply+1)); !errors.Is(err, rfc3161.ErrMalformed) {
		t.Fatalf("too large: %v", err)
	}
}

// TestOpenSSL has another implementation check our authority's token, and ours check nothing less than it does.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	a := tsatest.New(t, tsatest.Config{})
	dir := t.TempDir()
	file, root := filepath.Join(dir, "head.tsr"), filepath.Join(dir, "root.pem")
	for name, content := range map[string][]byte{file: reply(t, a), root: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Root.Raw})} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(openssl, "ts", "-verify", "-in", file, "-digest", hex.EncodeToString(digest[:]), "-CAfile", root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

const opensslConfig = `[tsa]
default_tsa = t
[t]
dir = .
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
certs = root.pem
signer_key = tsa.key
signer_digest = sha512
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1, millisecs:500, microsecs:100
ordering = yes
tsa_name = yes
ess_cert_id_alg = sha256
`

// An authority of another make, with an RSA key and everything optional in its token.
func TestOpenSSLAuthority(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	dir := t.TempDir()
	query, err := request().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"conf": opensslConfig, "serial": "0A\n", "query": string(query),
		"ext": "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=Root", "-days", "30"},
		{"req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Stamps"},
		{"x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-out", "tsa.pem", "-days", "20", "-extfile", "ext"},
		{"ts", "-reply", "-config", "conf", "-queryfile", "query", "-out", "reply"},
	} {
		cmd := exec.Command(openssl, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	answer, err := os.ReadFile(filepath.Join(dir, "reply"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(dir, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatal("no root")
	}
	token, err := rfc3161.Token(answer)
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := rfc3161.Check(token, rfc3161.Expect{Digest: digest, Nonce: request().Nonce, Roots: roots, Now: time.Now()})
	if err != nil || stamp.Authority != "CN=Stamps" || stamp.Accuracy != 1500100*time.Microsecond || time.Since(stamp.Time).Abs() > time.Minute {
		t.Fatalf("%+v %v", stamp, err)
	}
}

func FuzzCheck(f *testing.F) {
	a := tsatest.New(f, tsatest.Config{})
	answer := reply(f, a)
	f.Add(answer)
	f.Add([]byte{0x30, 0x80})
	e := rfc3161.Expect{Digest: digest, Roots: a.Roots(), Now: time.Now()}
	f.Fuzz(func(t *testing.T, raw []byte) {
		token, err := rfc3161.Token(raw)
		if err != nil {
			if !errors.Is(err, rfc3161.ErrMalformed) && !errors.Is(err, rfc3161.ErrRejected) {
				t.Fatal(err)
			}
			return
		}
		stamp, err := rfc3161.Check(token, e)
		if err == nil && stamp.Time.IsZero() {
			t.Fatal("a stamp without a time")
		}
	})
}
