-- One row a transaction. Times are microseconds; secret and claims are sealed by the party before they come here.
CREATE TABLE transactions (
    tenant        TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    handle        BLOB    NOT NULL,
    state_hash    BLOB    NOT NULL,
    state         TEXT    NOT NULL,
    policy        TEXT    NOT NULL,
    policy_digest BLOB    NOT NULL,
    client_id     TEXT    NOT NULL,
    response_mode TEXT    NOT NULL,
    cross_device  INTEGER NOT NULL,
    evidence      INTEGER NOT NULL,
    redirect_uri  TEXT    NOT NULL,
    session       BLOB    NOT NULL,
    secret        BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    decision      TEXT,
    code          TEXT,
    reason        TEXT,
    detail        TEXT,
    claims        BLOB,
    status_as_of  INTEGER,
    receipt       TEXT,
    response_code BLOB,
    redeemed_at   INTEGER,
    ended_at      INTEGER,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX transactions_handle ON transactions (handle);
CREATE UNIQUE INDEX transactions_state ON transactions (state_hash);
CREATE INDEX transactions_pending ON transactions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX transactions_ended ON transactions (ended_at) WHERE ended_at IS NOT NULL;

-- What companies' systems are told, at least once, in order of n; event ids are unique.
CREATE TABLE outbox (
    n      INTEGER PRIMARY KEY,
    event  TEXT    NOT NULL UNIQUE,
    tenant TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    object TEXT    NOT NULL,
    code   TEXT    NOT NULL,
    at     INTEGER NOT NULL
);
