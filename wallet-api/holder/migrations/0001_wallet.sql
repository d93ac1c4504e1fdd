-- One row a logical credential, one a copy. Tokens, keys and claims are sealed; what is in clear names no person.
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
    used_for    TEXT,                 -- the verifier that has seen it; a copy is never shown to a second one
    used_at     INTEGER,
    PRIMARY KEY (credential, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE submission (
    id       TEXT PRIMARY KEY,
    at       INTEGER NOT NULL,
    verifier TEXT NOT NULL,
    purpose  TEXT NOT NULL,
    claims   BLOB NOT NULL,           -- sealed: which items were shown
    outcome  TEXT NOT NULL            -- prepared, sent, declined
) STRICT;

CREATE TABLE evidence (
    did      TEXT PRIMARY KEY,        -- of an issuer whose credentials are held
    bytes    BLOB NOT NULL,
    fetched  INTEGER NOT NULL
) STRICT;

-- This wallet towards its provider.
CREATE TABLE instance (
    provider TEXT PRIMARY KEY,        -- URL
    id       TEXT NOT NULL,
    private  BLOB NOT NULL
) STRICT;
