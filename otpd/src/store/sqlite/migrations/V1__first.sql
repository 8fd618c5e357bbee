-- Times are Unix milliseconds, UTC. key_id names the master key behind what is encrypted or hashed.

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Written by administrators' verbs only.
CREATE TABLE enrollment (
  account      TEXT PRIMARY KEY,
  key_id       INTEGER NOT NULL,
  number       BLOB NOT NULL,     -- encrypted, bound to the account
  number_index BLOB NOT NULL,     -- keyed hash
  details      BLOB NOT NULL      -- country, line, channel, state, times
) STRICT, WITHOUT ROWID;

-- One small row an account: live challenges and what counts against guessing and bombing.
CREATE TABLE login (
  account TEXT PRIMARY KEY,
  key_id  INTEGER NOT NULL,
  state   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Finds the account of a challenge; a row lives as long as its challenge is in `login`.
CREATE TABLE challenge (
  token   BLOB PRIMARY KEY,
  account TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What several accounts may share. kind 1: a number, by its keyed hash.
CREATE TABLE budget (
  kind   INTEGER NOT NULL,
  key    BLOB NOT NULL,
  key_id INTEGER NOT NULL,
  state  BLOB NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- Appended to, and cut off at its old end.
CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  request INTEGER,
  account TEXT NOT NULL,
  actor   TEXT NOT NULL,
  event   TEXT NOT NULL          -- JSON
) STRICT;
