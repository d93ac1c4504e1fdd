package verifier

import (
	"fmt"
	"testing"
)

func TestCrowds(t *testing.T) {
	run := func(lists, credentials int) (warned int) {
		var c crowds
		for i := range credentials {
			if c.see("did:dojang:test:Gaon", fmt.Sprint("https://status.example/Gaon/", i%lists)) {
				warned++
			}
			c.see(("did:dojang:test:Other"), "https://status.example/Other/1")
		}
		return warned
	}
	t.Run("C10 a list for every credential", func(t *testing.T) {
		if n := run(100, 100); n != 100-fewLists+1 {
			t.Errorf("%d warnings", n)
		}
	})
	t.Run("C10 a hundred lists, each seen twenty times", func(t *testing.T) {
		var c crowds
		for i := range 2000 {
			if c.see("did:dojang:test:Gaon", fmt.Sprint(i/20)) {
				t.Fatalf("warned at %d", i)
			}
		}
	})
	t.Run("one list", func(t *testing.T) {
		if n := run(1, 5000); n != 0 {
			t.Errorf("%d warnings", n)
		}
	})
	t.Run("bounded", func(t *testing.T) {
		var c crowds
		for i := range 3 * maxLists {
			c.see("did:dojang:test:Gaon", fmt.Sprint(i))
		}
		if n := len(c.issuer["did:dojang:test:Gaon"].lists); n > maxLists {
			t.Errorf("%d lists are kept", n)
		}
	})
}
