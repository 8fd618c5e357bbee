-- A login writes few rows, and to no index: what finds an account's events and a request's is
-- written by upkeep, many events at a time. Rows of `audit` up to the one that `meta` names under
-- 'audit-indexed' are in here; the few after it are looked through.
DROP INDEX audit_at;
DROP INDEX audit_account;
DROP INDEX audit_request;

CREATE TABLE audit_account (
  account TEXT NOT NULL,
  id      INTEGER NOT NULL,
  PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_request (
  request INTEGER NOT NULL,
  id      INTEGER NOT NULL,
  PRIMARY KEY (request, id)
) STRICT, WITHOUT ROWID;

-- Idle budgets are found by going through all of them once an hour.
DROP INDEX budget_idle;
