package sqldb

import "context"

// A link is one connection, used by one goroutine at a time. Errors are classified.
type link interface {
	// exec runs a statement with parameters of driver types and returns the number of changed rows.
	exec(ctx context.Context, query string, args []any) (int64, error)
	query(ctx context.Context, query string, args []any) (cursor, error)
	// later runs a command of transaction control at once, or, where a round trip costs, together with the next one.
	later(command string) error
	// now runs a command, after everything left for later.
	now(ctx context.Context, command string) error
	// settled: everything given to later has succeeded.
	settled() bool
	// discard forgets what was left for later.
	discard()
	close() error
}

// A cursor walks over an answer. It must be closed before the link's next statement.
type cursor interface {
	// next fills dest with driver values; false at the end.
	next() (bool, error)
	values() []any
	close() error
}

// An engine makes links.
type engine interface {
	writer(ctx context.Context) (link, error)
	// borrow a read link; release with broken true throws it away.
	borrow(ctx context.Context) (link, error)
	release(l link, broken bool)
	// begin words for writing and reading.
	beginWrite() []string
	beginRead() string
	// savepointReads: an error of a mere SELECT aborts the shared transaction.
	savepointReads() bool
	forUpdate() string
	rewrite(query string) string
	maxJoin() int
	close()
}
