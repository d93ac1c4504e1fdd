-- Format and trust: package audit. Rows are inserted, never changed.
CREATE TABLE audit_entry (
	chain  TEXT    NOT NULL,
	seq    INTEGER NOT NULL,
	at     INTEGER NOT NULL, -- unix microseconds
	actor  TEXT    NOT NULL,
	action TEXT    NOT NULL,
	object TEXT    NOT NULL,
	reason TEXT    NOT NULL,
	detail TEXT    NOT NULL,
	hash   BLOB    NOT NULL,
	PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_object ON audit_entry (chain, object, seq);

-- The newest entry of each chain; locked by the transaction that appends.
CREATE TABLE audit_head (
	chain TEXT    PRIMARY KEY,
	seq   INTEGER NOT NULL,
	at    INTEGER NOT NULL,
	hash  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
