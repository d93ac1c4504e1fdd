// Package issuertest is for tests and the demo: invented people, and fakes for what an issuer talks to.
package issuertest

import "embed"

// Data holds the record files of the three demo agencies: gaon.csv (CP949), seoul.csv, customs.csv (UTF-8).
//
//go:embed data
var Data embed.FS
