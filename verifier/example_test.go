package verifier_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/verifier"
)

// A company checks a presentation with a trust file and the Evidence that the wallet stapled: no network, no database, and
// nobody of the agency that issued the credential.
func ExampleVerifier_Judge_offline() {
	// From the consortium, once: the trust file and the roots of issuers.
	trustFile, err := os.ReadFile("testdata/offline/trust.json")
	if err != nil {
		panic(err)
	}
	trust, err := evidence.ParseTrust(trustFile)
	if err != nil {
		panic(err)
	}
	rootFile, err := os.ReadFile("testdata/offline/root.pem")
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(rootFile)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}

	v, err := verifier.New(verifier.Config{
		Roots:   []*x509.Certificate{root},
		Staples: verifier.Staples(evidence.Checker{Trust: trust, Headers: new(evidence.Headers)}),
	})
	if err != nil {
		panic(err)
	}
	policies, err := verifier.BuiltinPolicies(nil)
	if err != nil {
		panic(err)
	}

	// From the wallet: the presentation of the query "resident" and dojang_evidence.
	presentation, err := os.ReadFile("testdata/offline/presentation.sdjwt")
	if err != nil {
		panic(err)
	}
	stapled, err := os.ReadFile("testdata/offline/evidence.cbor")
	if err != nil {
		panic(err)
	}
	judgement, err := v.Judge(context.Background(),
		verifier.Submission{Presentations: map[string][]string{"resident": {string(presentation)}}, Evidence: stapled},
		policies[0], // adult-check
		verifier.Expect{ // what the company's own request said
			Audience: "x509_hash:company", Nonce: "n-0S6_WzA2Mj", Now: time.Date(2026, 11, 20, 0, 1, 6, 0, time.UTC),
		})
	if err != nil {
		panic(err) // nothing could be judged
	}
	fmt.Println(judgement.Decision, judgement.Code)
	fmt.Println(judgement.Claims["resident"])
	fmt.Println("status as of", judgement.StatusAsOf.Format(time.RFC3339))
	// Output:
	// confirmed VALID
	// map[age_over_19:true]
	// status as of 2026-11-20T00:00:05Z
}
