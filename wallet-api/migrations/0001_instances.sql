-- A wallet instance is a device key. Nothing here says whose wallet it is.
CREATE TABLE instance (
    id         TEXT PRIMARY KEY,      -- thumbprint of the instance key
    jwk        BLOB NOT NULL,
    platform   TEXT NOT NULL,
    enrolled   INTEGER NOT NULL,
    revoked    INTEGER
) STRICT;

-- A challenge is good once: redeeming it inserts its id here.
CREATE TABLE challenge_used (
    id      BLOB PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX challenge_used_expires ON challenge_used (expires);

-- How often an instance has asked for attestations on one day (days since 1970, UTC).
CREATE TABLE attested (
    instance TEXT NOT NULL,
    day      INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (instance, day)
) STRICT, WITHOUT ROWID;
