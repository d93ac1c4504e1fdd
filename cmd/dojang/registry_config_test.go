package main

import (
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestNodeConfig(t *testing.T) {
	home := nodeHome(t.TempDir())
	text := string(nodeConfig{Member: "moi", Peer: "127.0.0.1:1", Public: "127.0.0.1:2", Status: "127.0.0.1:3", Management: "127.0.0.1:4", URL: "http://127.0.0.1:2"}.text())
	read := func(old, changed string) (nodeConfig, error) {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in node.yaml", old)
		}
		if err := os.WriteFile(home.path("node.yaml"), []byte(strings.Replace(text, old, changed, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return home.readConfig()
	}
	if c, err := read("proxies: []", `proxies: ["10.0.0.7/32", "fd00::/8"]`); err != nil || len(c.Proxies) != 2 || c.Proxies[0] != netip.MustParsePrefix("10.0.0.7/32") {
		t.Errorf("%+v %v", c.Proxies, err)
	}
	for _, row := range []struct{ name, old, changed string }{
		{"a proxy that is no prefix", "proxies: []", `proxies: ["10.0.0.7"]`},
		{"a field that nobody knows", "proxies: []", "proxy: []"},
		{"H25 management for everybody", `management: "127.0.0.1:4"`, `management: "0.0.0.0:4"`},
		{"an origin without TLS", "origins: []", `origins: ["http://example.org"]`},
		{"two documents", "proxies: []", "proxies: []\n---\nmember: x"},
	} {
		if _, err := read(row.old, row.changed); err == nil {
			t.Errorf("%s was taken", row.name)
		}
	}
}
