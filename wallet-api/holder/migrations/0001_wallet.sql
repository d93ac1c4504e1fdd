-- One row a logical credential, one a copy. Tokens, keys and history are sealed; what is in clear names no person and
-- no verifier.
CREATE TABLE credential (
    id            TEXT PRIMARY KEY,
    issuer        TEXT NOT NULL,      -- credential issuer identifier
    configuration TEXT NOT NULL,
    did           TEXT NOT NULL,
    kid           TEXT NOT NULL,      -- fragment of the issuer's key
    vct           TEXT NOT NULL,
    received_at   INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE copy (
    credential  TEXT NOT NULL REFERENCES credential (id),
    n           INTEGER NOT NULL,
    token       BLOB NOT NULL,
    private     BLOB NOT NULL,
    status_uri  TEXT NOT NULL,
    status_idx  INTEGER NOT NULL,
    used_for    BLOB,                 -- MAC of the verifier that has seen it; never shown to a second one
    used_at     INTEGER,
    chunk       BLOB,                 -- newest refresh: proof of the list's chunk that holds this entry
    status      INTEGER,              -- the entry in it
    status_at   INTEGER,              -- and when that was known
    PRIMARY KEY (credential, n),
    UNIQUE (status_uri, status_idx)   -- two copies with one entry could be linked
) STRICT, WITHOUT ROWID;

CREATE TABLE submission (
    id      TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    line    BLOB NOT NULL,            -- sealed: to whom, for what, which items
    outcome TEXT NOT NULL             -- prepared, sent, refused, declined
) STRICT;

-- What is stapled beside a chunk: the issuer's key and accreditation, the status epoch; and the list's place in it.
CREATE TABLE evidence (
    status_uri TEXT NOT NULL,
    kid        TEXT NOT NULL,
    vct        TEXT NOT NULL,
    bytes      BLOB NOT NULL,
    record     BLOB NOT NULL,
    position   INTEGER NOT NULL,      -- of the record in its epoch
    size       INTEGER NOT NULL,      -- records in that epoch
    path       BLOB NOT NULL,         -- audit path, 32 bytes a hash
    known_at   INTEGER NOT NULL,      -- not younger than the header that proves it
    PRIMARY KEY (status_uri, kid, vct)
) STRICT, WITHOUT ROWID;

-- This wallet towards its provider.
CREATE TABLE instance (
    provider TEXT PRIMARY KEY,        -- URL
    id       TEXT NOT NULL,
    private  BLOB NOT NULL
) STRICT;
