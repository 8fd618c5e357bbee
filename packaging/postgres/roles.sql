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
-- Roles belong to all databases of a server: where it has two of otpd, let each be entered by its own
-- hosts' roles alone (GRANT CONNECT).
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['otpd_login', 'otpd_admin'] LOOP
    IF to_regrole(name) IS NULL THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
  END LOOP;
  IF to_regrole('otpd_owner') IS NULL THEN
    CREATE ROLE otpd_owner LOGIN;
  END IF;
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format(
    'GRANT CONNECT ON DATABASE %I TO otpd_owner, otpd_login, otpd_admin', current_database());
  CREATE SCHEMA IF NOT EXISTS otpd AUTHORIZATION otpd_owner;
  -- Else they could not even see that there is nothing in it yet.
  GRANT USAGE ON SCHEMA otpd TO otpd_login, otpd_admin;
  -- Those of a schema that is there already; else the one who makes it gives them their rights.
  IF to_regprocedure('otpd.grant_rights()') IS NOT NULL THEN
    PERFORM otpd.grant_rights();
  END IF;
END $$;
