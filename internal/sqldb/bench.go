package sqldb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing/fstest"

	"github.com/dojang-id/dojang/internal/bench"
)

const (
	benchRecord = 512 // bytes, as in PERFORMANCE.md 1 "raw WAL"
	benchTurns  = 8   // writes of each caller in one operation
)

// BenchCases are one durable record of 512 bytes by 1 and by 128 waiting callers, beside the raw work: as many records
// appended to a file with one sync for all that wait. scaling/durable-record is how the cost of one falls when many wait.
func BenchCases() []bench.Case {
	return []bench.Case{
		{Name: "sqldb/write-1", New: func() (*bench.Loops, error) { return benchWrite(1) }},
		{Name: "sqldb/write-128", New: func() (*bench.Loops, error) { return benchWrite(128) }},
		bench.Scaling{Name: "scaling/durable-record", Sizes: []int{1, 8, 32, 128}, New: benchWrite, Exponent: -0.3}.Case(),
	}
}

func benchWrite(callers int) (*bench.Loops, error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return nil, err
	}
	db, err := Open(context.Background(), "sqlite://"+filepath.Join(dir, "bench.db"))
	if err != nil {
		return nil, err
	}
	schema := fstest.MapFS{"0001_bench.sql": {Data: []byte("CREATE TABLE record (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;")}}
	if err := db.Migrate(context.Background(), "bench", schema); err != nil {
		return nil, err
	}
	raw, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	records := benchRecords()
	floor := &benchFloor{file: raw, joined: callers}
	var mu sync.Mutex
	var first error
	return &bench.Loops{
		Per: callers * benchTurns,
		Op: func(i int) error {
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for t := range benchTurns {
						if err := benchInsert(db, records[(i*callers+c+t)%len(records)]); err != nil {
							mu.Lock()
							first = errors.Join(first, err)
							mu.Unlock()
						}
					}
				})
			}
			wg.Wait()
			return first
		},
		Floor: func(i int) error { return floor.append(records[i%len(records)]) },
		Close: func() { _ = errors.Join(db.Close(), raw.Close(), os.RemoveAll(dir)) },
	}, nil
}

func benchInsert(db *DB, body []byte) error {
	return db.Write(context.Background(), func(tx *Tx) error {
		n, err := tx.Exec("INSERT INTO record (body) VALUES (?)", body)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	})
}

// benchFloor appends one record; the last of those who wait makes all of them durable.
type benchFloor struct {
	file   *os.File
	joined int
	buf    []byte
}

func (f *benchFloor) append(record []byte) error {
	if f.buf = append(f.buf, record...); len(f.buf) < f.joined*benchRecord {
		return nil
	}
	_, err := f.file.Write(f.buf)
	f.buf = f.buf[:0]
	return errors.Join(err, f.file.Sync())
}

func benchRecords() [][]byte {
	records := make([][]byte, 256)
	for i := range records {
		records[i] = make([]byte, benchRecord)
		for j := range records[i] {
			records[i][j] = byte(i * (j + 7))
		}
	}
	return records
}
