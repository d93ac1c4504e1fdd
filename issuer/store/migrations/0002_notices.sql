-- What wallets said of deliveries (OpenID4VCI 11); only the event, never the wallet's words.
CREATE TABLE notices (
  issuance TEXT NOT NULL,
  event TEXT NOT NULL CHECK (event IN ('credential_accepted', 'credential_failure', 'credential_deleted')),
  at INTEGER NOT NULL,
  PRIMARY KEY (issuance, event)
) STRICT, WITHOUT ROWID;
