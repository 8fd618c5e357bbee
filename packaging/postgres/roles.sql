-- Roles with as few rights as they need, for hosts that share otpd's database. Run it once, as a
-- superuser and in the database of otpd; again it changes nothing:
--
--   psql -v ON_ERROR_STOP=1 -d otpd -f roles.sql
--
-- otpd_owner  makes the schema and upgrades it (otpd --migrate otpd_owner); no daemon runs as it
-- otpd_login  logs people in: it changes no enrollment, makes no bypass and no recovery code, and takes
--             nothing out of the audit trail
-- otpd_admin  besides: what otpctl changes, and the end of what is old; at one host at least
--
-- Each host gets a role of its own, which can be taken away alone when that host falls:
--
--   CREATE ROLE web1 LOGIN PASSWORD '…' CONNECTION LIMIT 8 IN ROLE otpd_login;
--   CREATE ROLE office LOGIN PASSWORD '…' CONNECTION LIMIT 8 IN ROLE otpd_admin;
--
-- A schema that is there already is not touched: who owns it might have put anything into it, and a
-- superuser runs none of that. Its owner gives the roles their rights: otpd --migrate OWNER
--
-- Roles belong to all databases of a server: where it has two of otpd, let each be entered by its own
-- hosts' roles alone (GRANT CONNECT).
DO $$
DECLARE
  name text;
BEGIN
  -- What others have put into public is not meant here.
  SET LOCAL search_path = pg_catalog, pg_temp;
  FOREACH name IN ARRAY ARRAY['otpd_login', 'otpd_admin'] LOOP
    IF to_regrole(name) IS NULL THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
  END LOOP;
  IF to_regrole('otpd_owner') IS NULL THEN
    CREATE ROLE otpd_owner LOGIN;
  END IF;
  CREATE SCHEMA IF NOT EXISTS otpd AUTHORIZATION otpd_owner;
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  -- The schema's owner may be another role, which came in as one of the public until now.
  FOR name IN
    SELECT rolname FROM pg_roles
    WHERE rolname IN ('otpd_owner', 'otpd_login', 'otpd_admin')
          OR oid = (SELECT nspowner FROM pg_namespace WHERE nspname = 'otpd')
  LOOP
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
  END LOOP;
  -- Else they could not even see that there is nothing in it yet.
  GRANT USAGE ON SCHEMA otpd TO otpd_login, otpd_admin;
END $$;
