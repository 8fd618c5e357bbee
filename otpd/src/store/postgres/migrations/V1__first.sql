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

-- What a decision locks, reads and writes, in functions: of what is in them a server keeps the plans,
-- also for a pooler, where nothing else of a connection can be kept. They decide nothing, and do what
-- whoever calls them may do. Each statement sees what was committed before it: what is read after a
-- lock is what the lock holds. Rows are looked up one by one (LATERAL, LOOP), so that there is but one
-- plan: one that joins may read a table wholly for ever, made when the table was empty.

-- Accounts that are named, and those of challenges: makes the rows of those that have none, locks all,
-- and reads them. If a row was deleted while it was waited for, none has a state: there may be another in
-- its place by now, which is not locked.
CREATE FUNCTION otpd.lock_accounts(tokens bytea[], names text[], by_key bigint, empty bytea)
RETURNS TABLE (
  account text, made boolean, state bytea, number bytea, number_index bytea, details bytea,
  codes bytea[], bypasses bytea[], uses_left smallint[], used bigint[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  wanted text[] := ARRAY(
    SELECT name COLLATE "C" FROM unnest(names) AS name
    UNION SELECT account FROM otpd.challenge WHERE token = ANY(tokens)
    ORDER BY 1);
  held bigint;
BEGIN
  INSERT INTO otpd.login (account, key_id, state)
  SELECT name, by_key, empty FROM unnest(wanted) AS name ON CONFLICT DO NOTHING;
  PERFORM FROM unnest(wanted) AS name,
          LATERAL (SELECT FROM otpd.login WHERE account = name FOR UPDATE) AS login;
  GET DIAGNOSTICS held = ROW_COUNT;
  RETURN QUERY
  SELECT name, coalesce(login.made, false),
         CASE WHEN held = cardinality(wanted) THEN login.state END, number, number_index, enrollment.details,
         ARRAY(SELECT hash FROM otpd.recovery_code AS given
               WHERE given.account = name ORDER BY place),
         ARRAY(SELECT given.details FROM otpd.bypass AS given
               WHERE given.account = name ORDER BY id),
         ARRAY(SELECT given.uses_left FROM otpd.bypass AS given
               WHERE given.account = name ORDER BY id),
         ARRAY(SELECT given.used FROM otpd.bypass AS given
               WHERE given.account = name ORDER BY id)
  FROM unnest(wanted) AS name
       LEFT JOIN LATERAL (SELECT state, xmin = pg_current_xact_id()::xid AS made
                          FROM otpd.login WHERE account = name LIMIT 1) AS login ON true
       LEFT JOIN LATERAL (SELECT number, number_index, details
                          FROM otpd.enrollment WHERE account = name LIMIT 1) AS enrollment ON true;
END $$;

-- The same of numbers' budgets: of numbers that are named, and of those that accounts have.
CREATE FUNCTION otpd.lock_numbers(
  tokens bytea[], names text[], numbers bytea[], by_key bigint, empty bytea)
RETURNS TABLE (key bytea, made boolean, state bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  wanted bytea[] := ARRAY(
    SELECT unnest(numbers)
    UNION SELECT number_index FROM otpd.enrollment WHERE account = ANY(names)
    UNION SELECT number_index FROM otpd.enrollment
          WHERE account = ANY(ARRAY(SELECT account FROM otpd.challenge WHERE token = ANY(tokens)))
    ORDER BY 1);
  held bigint;
BEGIN
  INSERT INTO otpd.budget (kind, key, share, key_id, state, idle_at)
  SELECT 1, name, 0, by_key, empty, 0 FROM unnest(wanted) AS name ON CONFLICT DO NOTHING;
  PERFORM FROM unnest(wanted) AS name,
          LATERAL (SELECT FROM otpd.budget
                   WHERE kind = 1 AND key = name AND share = 0 FOR UPDATE) AS budget;
  GET DIAGNOSTICS held = ROW_COUNT;
  RETURN QUERY
  SELECT name, coalesce(budget.made, false),
         CASE WHEN held = cardinality(wanted) THEN budget.state END
  FROM unnest(wanted) AS name
       LEFT JOIN LATERAL (SELECT state, xmin = pg_current_xact_id()::xid AS made
                          FROM otpd.budget WHERE kind = 1 AND key = name AND share = 0
                          LIMIT 1) AS budget ON true;
END $$;

-- All shares of what many accounts do together, without a lock.
CREATE FUNCTION otpd.read_shares(kinds smallint[], keys bytea[])
RETURNS TABLE (kind smallint, key bytea, share smallint, state bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT wanted.kind, wanted.key, budget.share, budget.state
  FROM unnest(kinds, keys) AS wanted (kind, key),
       LATERAL (SELECT share, state FROM otpd.budget
                WHERE kind = wanted.kind AND key = wanted.key OFFSET 0) AS budget;
END $$;

-- Writes logins that are locked, and deletes those with nothing in them; how many were written.
CREATE FUNCTION otpd.put_logins(names text[], by_key bigint, states bytea[], gone text[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  written bigint := 0;
BEGIN
  FOR place IN 1 .. cardinality(names) LOOP
    UPDATE otpd.login SET key_id = by_key, state = states[place] WHERE account = names[place];
    written := written + FOUND::int;
  END LOOP;
  DELETE FROM otpd.login WHERE account = ANY(gone);
  RETURN written;
END $$;

-- The same of numbers' budgets.
CREATE FUNCTION otpd.put_numbers(
  numbers bytea[], by_key bigint, states bytea[], idle bigint[], gone bytea[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  written bigint := 0;
  name bytea;
BEGIN
  FOR place IN 1 .. cardinality(numbers) LOOP
    UPDATE otpd.budget SET key_id = by_key, state = states[place], idle_at = idle[place]
    WHERE kind = 1 AND key = numbers[place] AND share = 0;
    written := written + FOUND::int;
  END LOOP;
  FOREACH name IN ARRAY gone LOOP
    DELETE FROM otpd.budget WHERE kind = 1 AND key = name AND share = 0;
  END LOOP;
  RETURN written;
END $$;

CREATE FUNCTION otpd.put_challenges(gone bytea[], born bytea[], names text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM otpd.challenge WHERE token = ANY(gone);
  INSERT INTO otpd.challenge (token, account) SELECT * FROM unnest(born, names);
END $$;

-- Writes one share of each row, made of what was read there (null: no row). Those that are another by
-- now are left, locked where there are any, and told as they are. All are to be in the order of their keys.
CREATE FUNCTION otpd.put_shares(
  one smallint, by_key bigint, kinds smallint[], keys bytea[], before bytea[], states bytea[],
  idle bigint[])
RETURNS TABLE (kind smallint, key bytea, state bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  there bytea;
BEGIN
  FOR place IN 1 .. cardinality(kinds) LOOP
    IF before[place] IS NULL THEN
      INSERT INTO otpd.budget (kind, key, share, key_id, state, idle_at)
      VALUES (kinds[place], keys[place], one, by_key, states[place], idle[place])
      ON CONFLICT DO NOTHING;
      CONTINUE WHEN FOUND;
    END IF;
    SELECT budget.state INTO there FROM otpd.budget
    WHERE kind = kinds[place] AND key = keys[place] AND share = one FOR UPDATE;
    IF there = before[place] THEN
      UPDATE otpd.budget SET key_id = by_key, state = states[place], idle_at = idle[place]
      WHERE kind = kinds[place] AND key = keys[place] AND share = one;
    ELSE
      RETURN QUERY SELECT kinds[place], keys[place], there;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION otpd.append_events(
  at bigint[], requests bigint[], accounts text[], actors text[], events text[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO otpd.audit (id, at, request, account, actor, event)
  SELECT (SELECT base FROM otpd.audit_base)
         + (pg_current_xact_id()::text::bigint << 16) + place,
         new.at, request, account, actor, event
  FROM unnest(at, requests, accounts, actors, events) WITH ORDINALITY
       AS new (at, request, account, actor, event, place);
END $$;

-- Their plans are made once, and find rows by keys also in a table of which nothing is known yet. What
-- is not the system's own is named with its schema.
DO $$
DECLARE
  routine regprocedure;
BEGIN
  FOR routine IN
    SELECT oid FROM pg_proc WHERE pronamespace = 'otpd'::regnamespace
    AND proname IN ('lock_accounts', 'lock_numbers', 'read_shares', 'put_logins', 'put_numbers',
                    'put_challenges', 'put_shares', 'append_events')
  LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp
                    SET plan_cache_mode = force_generic_plan
                    SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off', routine);
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', routine);
  END LOOP;
END $$;

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
  GRANT EXECUTE ON FUNCTION
    otpd.lock_accounts, otpd.lock_numbers, otpd.read_shares, otpd.put_logins, otpd.put_numbers,
    otpd.put_challenges, otpd.put_shares, otpd.append_events TO otpd_login, otpd_admin;
  GRANT INSERT, UPDATE, DELETE ON otpd.enrollment, otpd.bypass, otpd.rekeyed TO otpd_admin;
  GRANT INSERT ON otpd.recovery_code TO otpd_admin;
  GRANT INSERT, UPDATE ON otpd.enrolled TO otpd_admin;
  GRANT DELETE ON otpd.audit TO otpd_admin;
  GRANT UPDATE ON otpd.audit_base TO otpd_admin;
END $$;
REVOKE ALL ON FUNCTION otpd.grant_rights() FROM PUBLIC;
