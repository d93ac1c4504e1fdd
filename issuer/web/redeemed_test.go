package web_test

import (
	"context"
	"encoding/base64"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

// move imports the person's record with another address.
func move(t *testing.T, k *issuertest.Kit, street string) {
	t.Helper()
	file := "관리번호,성,이름,로마자성명,생년월일,성별,국적,주소,시도,시군구,우편번호,법정동코드,전입일,발급번호\n" +
		"mover,한,가온,HAN GAON,1998-07-04,여,KR,서울특별시 가온구 " + street + ",서울특별시,가온구,00012,1199010100,2024-03-02,RID-26-1\n"
	_, err := k.Issuer.Import(context.Background(), issuer.ImportRequest{Tenant: "gaon", Type: "resident-id", File: []byte(file), Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
}

// discloses: every copy discloses the street.
func discloses(t *testing.T, texts []string, street string) {
	t.Helper()
	for _, text := range texts {
		found := false
		for _, part := range strings.Split(text, "~")[1:] {
			raw, err := base64.RawURLEncoding.DecodeString(part)
			found = found || err == nil && strings.Contains(string(raw), street)
		}
		if !found {
			t.Errorf("a copy does not say %s", street)
		}
	}
}

// A grant is remembered from the token response on; the record behind it is not.
func TestRecordReplacedUnderWay(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		var at atomic.Pointer[func()]
		k := start(t, plenty(issuertest.KitConfig{DB: url, Step: func(name string) {
			if name != "credential.prepared" {
				return
			}
			if f := at.Swap(nil); f != nil {
				(*f)()
			}
		}}))
		receive := func(t *testing.T, street string, before func(f issuertest.Flow)) {
			move(t, k, "옛길 1")
			f, err := k.Begin("gaon", "resident-id", "mover", 3)
			if err != nil {
				t.Fatal(err)
			}
			before(f)
			a, err := k.Credential(f)
			want(t, a, err, 200, "")
			texts, err := a.Credentials()
			if err != nil || len(texts) != 3 {
				t.Fatalf("%d copies, %v", len(texts), err)
			}
			discloses(t, texts, street)
			again, err := k.Credential(f)
			want(t, again, err, 200, "")
			if string(again.Body) != string(a.Body) {
				t.Error("the same request got another answer")
			}
		}
		t.Run("before the request", func(t *testing.T) {
			receive(t, "새빛로 2", func(issuertest.Flow) { move(t, k, "새빛로 2") })
		})
		t.Run("before the intents", func(t *testing.T) {
			receive(t, "새빛로 3", func(issuertest.Flow) { f := func() { move(t, k, "새빛로 3") }; at.Store(&f) })
		})
		t.Run("not at all", func(t *testing.T) {
			receive(t, "옛길 1", func(issuertest.Flow) {})
		})
		fsck(t, k)
	})
}
