-- Entries that the second status operator made worse, and that no copy here holds: they stay so, and their indices are burned.
CREATE TABLE adopted (
  tenant TEXT NOT NULL,
  list INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  state TEXT NOT NULL,
  change_no INTEGER NOT NULL,
  PRIMARY KEY (tenant, list, idx)
) STRICT, WITHOUT ROWID;
