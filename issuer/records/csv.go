package records

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/unicode/norm"

	"github.com/dojang-id/dojang/schemas"
)

// ErrFile: the file cannot be read at all: encoding, structure, size or header. The text says which.
var ErrFile = errors.New("records: file cannot be read")

// Limits of a file.
const (
	MaxFile    = 8 << 20
	MaxRows    = 100_000
	maxColumns = 64
	maxCell    = 4096
)

// ParseCSV reads a file with the built-in mapping of a type.
func ParseCSV(file []byte, typ string) ([]Row, []Problem, error) {
	m, err := MappingFor(typ)
	if err != nil {
		return nil, nil, err
	}
	return m.ParseCSV(file)
}

// ParseCSV reads a file: UTF-8 with or without a byte order mark, or CP949; comma-separated, a header line first, every
// line with as many cells. Cells are data: a leading = or @ means nothing here. Rows and problems come for every line;
// a row with a problem has its person left empty.
func (m Mapping) ParseCSV(file []byte) ([]Row, []Problem, error) {
	text, err := decode(file)
	if err != nil {
		return nil, nil, err
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: no header line", ErrFile)
	}
	cols, person, err := m.header(header)
	if err != nil {
		return nil, nil, err
	}
	reader := rowReader{columns: cols, person: person, seen: map[string]bool{}}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(reader.rows) == MaxRows {
			return nil, nil, fmt.Errorf("%w: line %d is malformed or one too many", ErrFile, len(reader.rows)+2)
		}
		reader.add(cells)
	}
	if len(reader.rows) == 0 {
		return nil, nil, fmt.Errorf("%w: no people", ErrFile)
	}
	return reader.rows, reader.problems, nil
}

// decode finds the encoding: what is not UTF-8 is CP949, and what is neither is refused.
func decode(file []byte) ([]byte, error) {
	if len(file) > MaxFile {
		return nil, fmt.Errorf("%w: larger than 8 MiB", ErrFile)
	}
	if bytes.HasPrefix(file, []byte{0xff, 0xfe}) || bytes.HasPrefix(file, []byte{0xfe, 0xff}) {
		return nil, fmt.Errorf("%w: UTF-16 is not read", ErrFile)
	}
	text := bytes.TrimPrefix(file, []byte("\ufeff"))
	if !utf8.Valid(text) {
		out, err := korean.EUCKR.NewDecoder().Bytes(file)
		if err != nil || bytes.ContainsRune(out, utf8.RuneError) {
			return nil, fmt.Errorf("%w: neither UTF-8 nor CP949", ErrFile)
		}
		text = out
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, fmt.Errorf("%w: holds NUL", ErrFile)
	}
	return norm.NFC.Bytes(text), nil
}

// header matches the columns; -1 person and unknown or doubled headers refuse the file: a column that nobody mapped may
// hold what must not be here.
func (m Mapping) header(cells []string) (cols []Column, person int, err error) {
	if len(cells) > maxColumns {
		return nil, 0, fmt.Errorf("%w: too many columns", ErrFile)
	}
	person = -1
	seen := map[string]bool{}
	for i, h := range cells {
		h = strings.TrimSpace(h)
		c, ok := m.column(h)
		switch {
		case seen[h]:
			return nil, 0, fmt.Errorf("%w: column %d comes twice", ErrFile, i+1)
		case h == m.Person:
			person = i
		case !ok:
			return nil, 0, fmt.Errorf("%w: column %d is not in the mapping", ErrFile, i+1)
		}
		seen[h] = true
		cols = append(cols, c)
	}
	if person < 0 {
		return nil, 0, fmt.Errorf("%w: the person column is missing", ErrFile)
	}
	return cols, person, nil
}

// rowReader collects rows and what is wrong with them.
type rowReader struct {
	columns  []Column
	person   int
	seen     map[string]bool
	rows     []Row
	problems []Problem
}

func (x *rowReader) add(cells []string) {
	n := len(x.rows) + 1
	row := Row{Record: Record{Claims: map[string]any{}, Inputs: map[string]string{}}}
	before := len(x.problems)
	for i, cell := range cells {
		c := x.columns[i]
		cell = strings.TrimSpace(cell)
		rule := checkCell(cell)
		if rule == "" && i != x.person {
			rule = c.put(&row.Record, strings.Clone(cell))
		}
		if rule != "" {
			x.problems = append(x.problems, Problem{Row: n, Claim: c.Claim, Rule: rule})
		}
	}
	id := strings.Clone(strings.TrimSpace(cells[x.person]))
	switch {
	case !ValidPerson(id):
		x.problems = append(x.problems, Problem{Row: n, Rule: "person"})
	case x.seen[id]:
		x.problems = append(x.problems, Problem{Row: n, Rule: "duplicate"})
	}
	x.seen[id] = true
	if len(x.problems) == before {
		row.Person = id
	}
	x.rows = append(x.rows, row)
}

func checkCell(cell string) string {
	if len(cell) > maxCell {
		return "too_long"
	}
	for _, r := range cell {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return "control"
		}
	}
	if schemas.HasResidentNumber(cell) {
		return "resident_number"
	}
	return ""
}

// ValidPerson: ids of people in an agency's records are short ASCII words.
func ValidPerson(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
