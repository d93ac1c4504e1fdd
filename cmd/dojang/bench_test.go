package main

import (
	"strings"
	"testing"
)

// Names that scripts rely on: the benchmark report's table, as far as what they measure exists.
func TestBenchNames(t *testing.T) {
	have := map[string]bool{}
	for _, c := range benchCases() {
		if have[c.Name] {
			t.Errorf("%s twice", c.Name)
		}
		if (c.New == nil) == (c.Whole == nil) {
			t.Errorf("%s: one body is needed", c.Name)
		}
		have[c.Name] = true
	}
	for _, name := range []string{
		"sdjwt/issue20", "sdjwt/present3", "sdjwt/verify3kb", "oid4vci/preauth-e2e", "oid4vci/batch10", "oid4vp/direct_post.jwt-e2e",
		"status/decode", "status/lookup", "status/publish-one", "registry/write-1", "registry/write-4", "registry/commit-latency-4",
		"registry/resolve", "registry/resolve+proof", "registry/light-header/4", "registry/light-header/20/cached",
		"stapled/offline-verify", "http/floor", "ops/cold-start", "ops/rss", "latency/p99-under-load", "alloc/guard",
		"scaling/issue-claims", "scaling/write",
	} {
		if !have[name] {
			t.Errorf("no row %s", name)
		}
	}
}

func TestBenchSelects(t *testing.T) {
	names := func(c benchCmd) string {
		var out []string
		for _, one := range c.cases() {
			out = append(out, one.Name)
		}
		return strings.Join(out, " ")
	}
	if all := names(benchCmd{}); strings.Contains(all, "registry/write") || strings.Contains(all, "1e6") || !strings.Contains(all, "sdjwt/issue20") {
		t.Errorf("everything: %s", all)
	}
	if got := names(benchCmd{Area: "registry"}); !strings.Contains(got, "registry/write-4") || strings.Contains(got, "1e6") || strings.Contains(got, "sdjwt") {
		t.Errorf("registry: %s", got)
	}
	if got := names(benchCmd{Area: "registry/resolve/", Full: true}); got != "registry/resolve/1e5 registry/resolve/1e6 registry/resolve/1e7" {
		t.Errorf("one part: %s", got)
	}
}
