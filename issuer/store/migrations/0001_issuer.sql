-- Every index costs a page of each commit that writes to its table. Ids of credentials and issuances therefore begin with
-- the time: what is made together lies together.

-- One row an agency: the number of its newest status change.
CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  change_no INTEGER NOT NULL
) STRICT;

-- Logical credentials, from the offer on.
CREATE TABLE credentials (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  type TEXT NOT NULL,
  format TEXT NOT NULL,
  person TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('offered', 'authorized', 'issued', 'suspended', 'needs_renewal', 'revoked')),
  change_no INTEGER NOT NULL,
  ref_hash BLOB NOT NULL UNIQUE,
  code_hash BLOB NOT NULL UNIQUE,
  tx_hash BLOB,
  tx_failures INTEGER NOT NULL,
  offered_at INTEGER NOT NULL,
  offer_expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX credentials_change ON credentials (tenant, change_no);
CREATE INDEX credentials_person ON credentials (tenant, person);

-- Access tokens. One credential is redeemed once (I4).
CREATE TABLE grants (
  token_hash BLOB PRIMARY KEY,
  tenant TEXT NOT NULL,
  credential TEXT NOT NULL UNIQUE,
  jkt TEXT NOT NULL,
  client_id TEXT NOT NULL,
  slots INTEGER NOT NULL,
  allowance INTEGER NOT NULL,
  copies INTEGER NOT NULL,
  made_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  CHECK (copies <= allowance)
) STRICT, WITHOUT ROWID;

CREATE TABLE used_nonces (
  tenant TEXT NOT NULL,
  id BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_nonces_expiry ON used_nonces (expires_at);

-- Credential requests. attempt counts the times that intents were written; only the copies of the newest count.
CREATE TABLE issuances (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  credential TEXT NOT NULL,
  grant_hash BLOB NOT NULL,
  proofs_hash BLOB NOT NULL,
  slot INTEGER NOT NULL,
  key_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('intended', 'issued', 'abandoned')),
  attempt INTEGER NOT NULL,
  copies INTEGER NOT NULL,
  made_at INTEGER NOT NULL,
  issued_at INTEGER,
  response BLOB,
  response_hash BLOB,
  redeliver_until INTEGER NOT NULL,
  UNIQUE (grant_hash, proofs_hash)
) STRICT;
CREATE INDEX issuances_open ON issuances (tenant) WHERE state = 'intended';
CREATE INDEX issuances_response ON issuances (redeliver_until) WHERE response IS NOT NULL;

-- Intents, one a copy and attempt, never deleted: the primary key is what keeps an index from being used twice (I2).
CREATE TABLE copies (
  tenant TEXT NOT NULL,
  list INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  issuance TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  n INTEGER NOT NULL,
  credential TEXT NOT NULL,
  thumbprint TEXT NOT NULL,
  tbs_hash BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, list, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX copies_credential ON copies (credential, issuance, attempt, n);

-- What was signed, verified and may be returned: one row a credential byte string (I1). From a credential in hand one gets
-- here through the list and index that it names.
CREATE TABLE ledger (
  issuance TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  n INTEGER NOT NULL,
  credential_hash BLOB NOT NULL,
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (issuance, attempt, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE status_lists (
  tenant TEXT NOT NULL,
  list INTEGER NOT NULL,
  length INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, list)
) STRICT, WITHOUT ROWID;

-- Status epochs. covers: every change up to this number is in the lists.
CREATE TABLE publications (
  tenant TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  iat INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  covers INTEGER NOT NULL,
  lists INTEGER NOT NULL,
  root BLOB NOT NULL,
  height INTEGER NOT NULL,
  PRIMARY KEY (tenant, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE published_lists (
  tenant TEXT NOT NULL,
  list INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  token BLOB NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (tenant, list)
) STRICT;

-- Agencies' records and pseudonym roots, sealed.
CREATE TABLE records (
  tenant TEXT NOT NULL,
  type TEXT NOT NULL,
  person TEXT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (tenant, type, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE pseudonyms (
  tenant TEXT NOT NULL,
  type TEXT NOT NULL,
  person TEXT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (tenant, type, person)
) STRICT, WITHOUT ROWID;

-- Keys of programmes, sealed: nullifiers are made with them (DOMAIN 3.0).
CREATE TABLE program_keys (
  tenant TEXT NOT NULL,
  programme TEXT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (tenant, programme)
) STRICT, WITHOUT ROWID;

-- Nonce keys, sealed. seq grows, id is its low byte.
CREATE TABLE nonce_keys (
  seq INTEGER PRIMARY KEY,
  sealed BLOB NOT NULL,
  made_at INTEGER NOT NULL
) STRICT;
