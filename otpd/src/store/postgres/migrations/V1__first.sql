-- Times are Unix milliseconds, UTC. key_id names the master key behind what is encrypted or hashed.
-- Names of accounts are compared as bytes, whatever language the server speaks: rows are locked in
-- their order, by every host in the same one.

CREATE TABLE otpd.meta (
  name  text PRIMARY KEY,
  value bytea NOT NULL
);
-- Locked by whoever deletes what is old.
INSERT INTO otpd.meta VALUES ('retention', '');
-- Tells this database from every other.
INSERT INTO otpd.meta VALUES ('database', uuid_send(gen_random_uuid()));

-- Written by administrators' verbs only.
CREATE TABLE otpd.enrollment (
  account      text COLLATE "C" PRIMARY KEY,
  key_id       bigint NOT NULL,
  number       bytea NOT NULL,     -- encrypted, bound to the account
  number_index bytea NOT NULL,     -- keyed hash
  details      bytea NOT NULL      -- country, line, channel, state, times
);
CREATE INDEX enrollment_number ON otpd.enrollment (number_index);

-- How many enrollments there are, in shares whose sum counts: one row would be waited for by all.
CREATE TABLE otpd.enrolled (
  share smallint PRIMARY KEY,
  count bigint NOT NULL
);

-- One small row an account: live challenges and what counts against guessing and bombing. It is what
-- decisions lock. Updates find room beside the old row.
CREATE TABLE otpd.login (
  account text COLLATE "C" PRIMARY KEY,
  key_id  bigint NOT NULL,
  state   bytea NOT NULL
) WITH (fillfactor = 50);

-- Finds the account of a challenge; a row lives as long as its challenge is in `login`.
CREATE TABLE otpd.challenge (
  token   bytea PRIMARY KEY,
  account text COLLATE "C" NOT NULL
);
CREATE INDEX challenge_account ON otpd.challenge (account);

-- What several accounts may share. kind 1: a number, by its keyed hash. From kind 2 on what many
-- accounts do together, in shares whose sum counts. From idle_at on nothing in it counts any more.
CREATE TABLE otpd.budget (
  kind    smallint NOT NULL,
  key     bytea NOT NULL,
  share   smallint NOT NULL,
  key_id  bigint NOT NULL,
  state   bytea NOT NULL,
  idle_at bigint NOT NULL,
  PRIMARY KEY (kind, key, share)
) WITH (fillfactor = 50);

-- Appended to, and cut off at its old end. An id is made of the transaction's number, so that ids are
-- in the order in which transactions began to write, on whichever host; audit_base is added to it,
-- and grows when the database moves to a server whose transactions have lower numbers.
CREATE TABLE otpd.audit (
  id      bigint PRIMARY KEY,
  at      bigint NOT NULL,
  request bigint,
  account text COLLATE "C" NOT NULL,
  actor   text NOT NULL,
  event   text NOT NULL            -- JSON
);
CREATE INDEX audit_at ON otpd.audit (at, id);
CREATE INDEX audit_account ON otpd.audit (account, id);
CREATE INDEX audit_request ON otpd.audit (request, id) WHERE request IS NOT NULL;

CREATE TABLE otpd.audit_base (
  base bigint NOT NULL
);
INSERT INTO otpd.audit_base VALUES (0);

-- The daemons that use the database, each as it tells of itself; it decides nothing.
CREATE TABLE otpd.host (
  name       text COLLATE "C" NOT NULL,
  run        bigint NOT NULL,      -- random, of one run of a daemon
  machine    bytea NOT NULL,       -- keyed hash
  started_at bigint NOT NULL,
  seen_at    bigint NOT NULL,
  stopped    boolean NOT NULL,
  details    bytea NOT NULL,       -- version, gateways
  PRIMARY KEY (name, run)
);

-- Numbers under the next master key, while it takes the place of the one before. It is made anew for
-- every rotation, so a crash may lose it.
CREATE UNLOGGED TABLE otpd.rekeyed (
  account      text COLLATE "C" PRIMARY KEY,
  key_id       bigint NOT NULL,
  old_number   bytea NOT NULL,     -- as the row was that it is made of
  number       bytea NOT NULL,
  old_index    bytea NOT NULL,
  number_index bytea NOT NULL,
  old_range    bytea NOT NULL,
  range_index  bytea NOT NULL
);
