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
-- Whose role may make no enrollment writes here what a host knows of itself, and nothing else.
ALTER TABLE otpd.meta ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON otpd.meta FOR SELECT USING (true);
CREATE POLICY own ON otpd.meta USING (
  name LIKE 'clock %' OR name IN ('attack', 'retention', 'room')
  OR has_table_privilege('otpd.enrollment', 'INSERT'));

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

-- What administrators gave an account, apart from `login`: a host whose role may only log people in
-- uses it up, and makes none.
CREATE TABLE otpd.recovery_code (
  account text COLLATE "C" NOT NULL,
  place   smallint NOT NULL,
  hash    bytea NOT NULL,          -- keyed
  PRIMARY KEY (account, place)
);

CREATE TABLE otpd.bypass (
  account   text COLLATE "C" NOT NULL,
  id        bigint NOT NULL,
  details   bytea NOT NULL,        -- by whom, why, until when, where
  uses_left smallint,              -- null: as many as there are in its time
  used      bigint NOT NULL,
  PRIMARY KEY (account, id)
);

CREATE FUNCTION otpd.bypass_is_used_up() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.used < OLD.used
     OR OLD.uses_left IS NOT NULL AND (NEW.uses_left IS NULL OR NEW.uses_left > OLD.uses_left) THEN
    RAISE insufficient_privilege USING MESSAGE = 'a bypass is used up, and never filled up';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER used_up BEFORE UPDATE ON otpd.bypass
FOR EACH ROW EXECUTE FUNCTION otpd.bypass_is_used_up();

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
  written_by name NOT NULL DEFAULT session_user,
  PRIMARY KEY (name, run)
);
-- A host that fell must not speak for others, nor for itself once its role is gone.
ALTER TABLE otpd.host ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON otpd.host FOR SELECT USING (true);
CREATE POLICY own ON otpd.host USING (
  written_by = session_user OR has_table_privilege('otpd.enrollment', 'INSERT'));

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
-- Whose role may delete nothing here appends, and nowhere but at the end: an id of its own choice could
-- go in front of what others wrote, or leave no id to them.
ALTER TABLE otpd.audit ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON otpd.audit FOR SELECT USING (true);
CREATE POLICY append ON otpd.audit FOR INSERT WITH CHECK (
  (id - (SELECT base FROM otpd.audit_base)) >> 16 = pg_current_xact_id()::text::bigint
  OR has_table_privilege('otpd.audit', 'DELETE'));
CREATE POLICY cut_off ON otpd.audit FOR DELETE USING (true);

-- Gives the roles of packaging/postgres/roles.sql what each needs, where there are such roles. A host
-- of administrators does all that a login host does; the owner of the schema needs nothing given.
CREATE FUNCTION otpd.grant_rights() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF to_regrole('otpd_login') IS NULL OR to_regrole('otpd_admin') IS NULL THEN
    RETURN;
  END IF;
  GRANT USAGE ON SCHEMA otpd TO otpd_login, otpd_admin;
  GRANT SELECT ON ALL TABLES IN SCHEMA otpd TO otpd_login, otpd_admin;
  GRANT INSERT, UPDATE, DELETE ON otpd.login, otpd.budget, otpd.host TO otpd_login, otpd_admin;
  GRANT INSERT, DELETE ON otpd.challenge TO otpd_login, otpd_admin;
  -- A name that is changed would be missed where it was.
  GRANT INSERT, UPDATE (value) ON otpd.meta TO otpd_login, otpd_admin;
  GRANT INSERT ON otpd.audit TO otpd_login, otpd_admin;
  GRANT DELETE ON otpd.recovery_code, otpd.bypass TO otpd_login, otpd_admin;
  GRANT UPDATE (uses_left, used) ON otpd.bypass TO otpd_login, otpd_admin;
  GRANT INSERT, UPDATE, DELETE ON otpd.enrollment, otpd.bypass, otpd.rekeyed TO otpd_admin;
  GRANT INSERT ON otpd.recovery_code TO otpd_admin;
  GRANT INSERT, UPDATE ON otpd.enrolled TO otpd_admin;
  GRANT DELETE ON otpd.audit TO otpd_admin;
  GRANT UPDATE ON otpd.audit_base TO otpd_admin;
END $$;
REVOKE ALL ON FUNCTION otpd.grant_rights() FROM PUBLIC;
