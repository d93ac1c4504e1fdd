// Package issuertest is for tests and the demo: the invented people of three agencies, and fakes for what an issuer
// talks to. Kit is a whole issuer over HTTP with a wallet's hands.
package issuertest

import "embed"

// Data holds the record files of the demo agencies: data/gaon.csv (resident-id, CP949), data/seoul.csv
// (youth-eligibility, UTF-8 with byte order mark), data/customs.csv (customs-identity, UTF-8).
//
//go:embed data/*.csv
var Data embed.FS

// Files of Data with their tenant and type.
var files = []DataFile{
	{Tenant: "gaon", Type: "resident-id", Name: "data/gaon.csv"},
	{Tenant: "seoul", Type: "youth-eligibility", Name: "data/seoul.csv"},
	{Tenant: "customs", Type: "customs-identity", Name: "data/customs.csv"},
}

// A DataFile is one file to import.
type DataFile struct{ Tenant, Type, Name string }

// Files lists what Data holds.
func Files() []DataFile { return append([]DataFile(nil), files...) }

// Read is the file's content.
func (f DataFile) Read() []byte {
	b, err := Data.ReadFile(f.Name)
	if err != nil { // embedded: cannot happen
		panic(err)
	}
	return b
}
