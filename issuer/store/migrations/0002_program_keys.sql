-- Keys of programmes, sealed: nullifiers are made with them (DOMAIN 3.0).
CREATE TABLE program_keys (
  tenant TEXT NOT NULL,
  programme TEXT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (tenant, programme)
) STRICT;
