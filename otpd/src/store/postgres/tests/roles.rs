//! Hosts whose roles have as few rights as they need, by the file that packages bring.

use super::{
    Store, StoreError, alice, charge, charged, keys, scope, serve,
    testing::{divide, open, open_as, settings},
};
use crate::{
    domain::{
        account::Account,
        bypass::{BypassId, GrantBypass, RevokeBypass, Wanted},
        challenge::{Channel, Instance},
        enrollment::{Enrollment, NumberIndex},
        phone::{Country, Destination, Line},
        records::{Decided, Records},
        recovery::{MakeCodes, RecoveryCode, RecoveryHash},
        time::Timestamp,
    },
    postgres_server::Server,
    random,
    store::{
        Chore, Engine, Postgres, PostgresSettings, Presence, Reader, Trail, Word,
        conformance::Gate, examine_postgres, migrate_postgres,
    },
};

fn enrollment(number: &str) -> Enrollment {
    let destination = Destination {
        number: number.parse().expect("a number"),
        country: "US".parse::<Country>().expect("a country"),
        line: Line::FixedOrMobile,
    };
    let range = keys().range(&destination.number);
    Enrollment::new(destination, NumberIndex([1; 16]), range, Channel::Sms, super::NOW)
}

async fn enroll(store: &Store, name: &str, number: &str) -> Result<(), StoreError> {
    let enrolled = enrollment(number);
    let decide = move |records: &Records, _| {
        let enrollment = Some(enrolled.clone());
        let records = Records { enrollment, ..records.clone() };
        Decided { records, audit: Vec::new(), answer: () }
    };
    store.transact(scope(name), decide).await
}

/// Four recovery codes and a bypass for two logins.
async fn give(store: &Store, seed: u32) -> Result<(), StoreError> {
    let account = Account::new("alice").expect("a name");
    let mut rng = random::system();
    let key = keys().code;
    let codes = std::iter::repeat_with(|| RecoveryCode::generate(&mut rng)).take(4);
    let codes = codes.map(|code| RecoveryHash::of(&key, &account, &code)).collect();
    let set = MakeCodes { account: account.clone(), key, codes, uid: 0 };
    let made = store.transact(alice(), move |records: &_, now| set.decide(records, now)).await?;
    assert!(matches!(made, crate::domain::proof::Outcome::Done(())), "{made:?}");
    let wanted = Wanted::new(3600, "lost phone", Some(2), None).expect("a bypass");
    let grant = GrantBypass { account, id: BypassId::new(seed << 2), wanted, uid: 0 };
    let granted =
        store.transact(alice(), move |records: &_, now| grant.decide(records, now)).await?;
    granted.map(drop).map_err(|refused| panic!("{refused:?}"))
}

/// Changes alice's logins, and says what they are then.
async fn change(
    store: &Store,
    change: impl Fn(&mut Records) + Send + 'static,
) -> Result<Records, StoreError> {
    let decide = move |records: &Records, _: Timestamp| {
        let mut records = records.clone();
        change(&mut records);
        Decided { audit: Vec::new(), answer: records.clone(), records }
    };
    store.transact(alice(), decide).await
}

fn hosts(server: &Server) -> (Store, Store) {
    divide(server, &keys());
    let open = |role, number| serve(open_as(server, role, keys(), number).expect("a database"));
    (open("office", 1), open("web", 2))
}

fn reader(server: &Server, role: &str) -> Reader {
    let engine = open_as(server, role, keys(), 3).expect("a database");
    Reader::postgres(&engine).expect("a thread")
}

#[tokio::test]
async fn what_was_given_is_read_as_it_was_written_and_used_up_once() {
    let server = Server::start();
    let (office, web) = hosts(&server);
    enroll(&office, "alice", "+13125550123").await.expect("enrolled");
    for seed in [1, 2] {
        give(&office, seed).await.expect("given");
    }
    let reader = reader(&server, "web");
    let account = || Account::new("alice").expect("a name");
    let read = || async { reader.account(account()).await.expect("a read").login };
    let before = read().await;
    assert_eq!((before.recovery.left(), before.bypasses.all().count()), (4, 2));

    // A login takes a code, and one use of the bypass that ends first, and says so to all.
    let after = change(&web, |records| {
        let codes = records.login.recovery.codes()[1..].to_vec();
        let mut bypasses = records.login.bypasses.all().cloned().collect::<Vec<_>>();
        bypasses[0].uses_left = Some(1);
        bypasses[0].used = 1;
        let bypasses = crate::domain::bypass::Bypasses::stored(bypasses);
        records.login.set_given(codes, bypasses);
    });
    let after = after.await.expect("logged in");
    assert_eq!(read().await, after.login);
    assert_eq!((after.login.recovery.left(), after.login.bypasses.all().count()), (3, 2));
    let seen = change(&office, |_| ()).await.expect("read").login;
    assert_eq!(seen, after.login, "as it is read to decide");

    // What is used up goes; a new set takes the place of the old one.
    let none = |records: &mut Records| {
        records.login.set_given(Vec::new(), crate::domain::bypass::Bypasses::default());
    };
    change(&web, none).await.expect("used up");
    assert_eq!(server.sql("otpd", "SELECT count(*) FROM otpd.recovery_code"), "0");
    assert_eq!(server.sql("otpd", "SELECT count(*) FROM otpd.bypass"), "0");
    give(&office, 3).await.expect("given again");
    give(&office, 4).await.expect("and in its place");
    assert_eq!(read().await.recovery.left(), 4);
    let revoke = RevokeBypass { account: account(), id: None, uid: 0 };
    let ended = office.transact(alice(), move |records: &_, now| revoke.decide(records, now));
    assert_eq!(ended.await, Ok(2));
    assert_eq!(read().await.bypasses.all().count(), 0);
}

#[tokio::test]
async fn a_login_hosts_daemon_cannot_do_what_administrators_decide() {
    let server = Server::start();
    let (office, web) = hosts(&server);
    assert_eq!(
        (office.may_administer(), web.may_administer()),
        (Ok(()), Err(StoreError::Forbidden))
    );
    enroll(&office, "alice", "+13125550123").await.expect("enrolled");
    give(&office, 1).await.expect("given");
    // A daemon that tries all the same, as one that was taken over would.
    assert_eq!(enroll(&web, "alice", "+13125550199").await, Err(StoreError::Forbidden));
    assert_eq!(enroll(&web, "mallory", "+13125550199").await, Err(StoreError::Forbidden));
    assert_eq!(give(&web, 2).await, Err(StoreError::Forbidden));
    let removed = change(&web, |records| records.enrollment = None).await;
    assert_eq!(removed.map(drop), Err(StoreError::Forbidden));
    let more = change(&web, |records| {
        let mut bypasses = records.login.bypasses.all().cloned().collect::<Vec<_>>();
        bypasses[0].uses_left = None;
        let bypasses = crate::domain::bypass::Bypasses::stored(bypasses);
        let codes = records.login.recovery.codes().to_vec();
        records.login.set_given(codes, bypasses);
    });
    assert_eq!(more.await.map(drop), Err(StoreError::Forbidden), "a bypass without an end");
    let longer = change(&web, |records| {
        let mut bypasses = records.login.bypasses.all().cloned().collect::<Vec<_>>();
        bypasses[0].until = Timestamp(i64::MAX);
        let bypasses = crate::domain::bypass::Bypasses::stored(bypasses);
        let codes = records.login.recovery.codes().to_vec();
        records.login.set_given(codes, bypasses);
    });
    assert_eq!(longer.await.map(drop), Err(StoreError::Forbidden));
    // It goes on with what it is for, and nobody pays for whom it was refused.
    assert_eq!(charge(&web, "bob").await, Ok(1));
    // In one transaction, as what waits together.
    let gate = Gate::close(&web).await;
    let beside = (enroll(&web, "eve", "+13125550199"), charge(&web, "bob"));
    let (refused, charged_beside, ()) = tokio::join!(beside.0, beside.1, async { gate.open() });
    assert_eq!((refused, charged_beside), (Err(StoreError::Forbidden), Ok(2)));
    assert_eq!(charged(&office, "bob").await, Ok(2));
    let enrolled = "SELECT string_agg(account, ' ') FROM otpd.enrollment";
    assert_eq!(server.sql("otpd", enrolled), "alice");
}

#[tokio::test]
async fn a_login_hosts_role_is_refused_what_it_need_not_do() {
    let server = Server::start();
    let (office, web) = hosts(&server);
    enroll(&office, "alice", "+13125550123").await.expect("enrolled");
    give(&office, 1).await.expect("given");
    for name in ["alice", "alice"] {
        charge(&web, name).await.expect("a message");
    }
    let mine = "INSERT INTO otpd.audit (id, at, account, actor, event)";
    let refused = [
        "UPDATE otpd.enrollment SET number = '\\x00'",
        "UPDATE otpd.enrollment SET number_index = '\\x00', details = '\\x00'",
        "INSERT INTO otpd.enrollment VALUES ('mallory', 1, '\\x00', '\\x00', '\\x00')",
        "DELETE FROM otpd.enrollment",
        "INSERT INTO otpd.enrolled VALUES (0, 1000)",
        "UPDATE otpd.enrolled SET count = 1000",
        "INSERT INTO otpd.recovery_code VALUES ('alice', 9, '\\x00')",
        "UPDATE otpd.recovery_code SET hash = '\\x00'",
        "INSERT INTO otpd.bypass VALUES ('alice', 1, '\\x00', NULL, 0)",
        "UPDATE otpd.bypass SET details = '\\x00'",
        "UPDATE otpd.bypass SET account = 'mallory'",
        "UPDATE otpd.bypass SET uses_left = uses_left + 1",
        "UPDATE otpd.bypass SET uses_left = NULL",
        "UPDATE otpd.bypass SET used = used - 1",
        "UPDATE otpd.challenge SET account = 'mallory'",
        "UPDATE otpd.audit SET event = '{}'",
        "DELETE FROM otpd.audit",
        "TRUNCATE otpd.audit",
        &format!("{mine} VALUES (1, 1, 'alice', '\"daemon\"', '{{}}')"),
        &format!("{mine} VALUES (9223372036854775807, 1, 'alice', '\"daemon\"', '{{}}')"),
        "UPDATE otpd.audit_base SET base = 9223372036854775807",
        "INSERT INTO otpd.meta VALUES ('mallory', '')",
        "UPDATE otpd.meta SET name = 'clock x' WHERE name = 'retention'",
        "INSERT INTO otpd.host VALUES ('office', 1, '', 1, 1, false, '', 'office')",
        "DELETE FROM otpd.meta WHERE name = 'key-check'",
        "DELETE FROM otpd.refinery_schema_history",
        "INSERT INTO otpd.refinery_schema_history VALUES (99, 'x', '', '')",
        "ALTER TABLE otpd.audit DISABLE ROW LEVEL SECURITY",
        "DROP POLICY append ON otpd.audit",
        "ALTER TABLE otpd.bypass DISABLE TRIGGER used_up",
        "ALTER TABLE otpd.enrollment ADD COLUMN x int",
        "CREATE TABLE otpd.mine (x int)",
        "CREATE TABLE public.mine (x int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (x int)",
        "CREATE FUNCTION otpd.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION otpd.grant_rights() RETURNS void LANGUAGE sql AS ''",
        "CREATE TRIGGER mine BEFORE INSERT ON otpd.login FOR EACH ROW
         EXECUTE FUNCTION otpd.bypass_is_used_up()",
        "GRANT otpd_admin TO web",
        "GRANT INSERT ON otpd.enrollment TO web",
        "SET ROLE otpd_admin",
        "SET ROLE otpd_owner",
        "CREATE ROLE mine",
        "ALTER ROLE office PASSWORD 'mine'",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY otpd.login TO PROGRAM 'true'",
    ];
    let before =
        server.sql("otpd", "SELECT md5(string_agg(x::text, '')) FROM otpd.enrollment AS x");
    for statement in refused {
        let told = server.refusal("web", statement);
        // By the rights themselves, or by a row's policy.
        let why = [
            "ERROR:  permission denied",
            "ERROR:  must be owner",
            "ERROR:  must be superuser",
            "violates row-level security",
            "a bypass is used up, and never filled up",
            "must have admin option",
            "no privileges were granted",
        ];
        assert!(why.iter().any(|why| told.contains(why)), "{statement}: {told:?}");
    }
    // A statement that may touch rows, and finds none that it may touch.
    let key = "SELECT md5(value::text) FROM otpd.meta WHERE name = 'key-check'";
    let kept = server.sql("otpd", key);
    assert_eq!(
        server.refusal("web", "UPDATE otpd.meta SET value = '' WHERE name = 'key-check'"),
        ""
    );
    assert_eq!(server.sql("otpd", key), kept);
    // It does not only own nothing: what it may call gives it nothing.
    let told = server.refusal("web", "SELECT otpd.grant_rights()");
    assert!(told.contains("permission denied for function grant_rights"), "{told}");
    let after = server.sql("otpd", "SELECT md5(string_agg(x::text, '')) FROM otpd.enrollment AS x");
    assert_eq!(before, after);
    // What remains to whoever has it: limits of logins, and the end of what was given.
    for statement in
        ["DELETE FROM otpd.login", "DELETE FROM otpd.bypass", "DELETE FROM otpd.budget"]
    {
        assert_eq!(server.refusal("web", statement), "", "{statement}");
    }
    assert_eq!(charge(&office, "alice").await, Ok(1), "its limits were forgotten");
}

#[tokio::test]
async fn what_decisions_call_is_for_hosts_alone_and_does_what_they_may_do() {
    let server = Server::start();
    divide(&server, &keys());
    server.execute("otpd", "CREATE ROLE mallory; GRANT USAGE ON SCHEMA otpd TO mallory");
    // Triggers call what is theirs, and nobody else can.
    let of = |role: &str| {
        let select = format!(
            "SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc
             WHERE pronamespace = 'otpd'::regnamespace AND prorettype <> 'trigger'::regtype
             AND has_function_privilege('{role}', oid, 'EXECUTE')"
        );
        server.sql("otpd", &select)
    };
    let calls = "append_events lock_accounts lock_numbers put_challenges put_logins put_numbers \
                 put_shares read_shares";
    assert_eq!(["mallory", "web", "office"].map(of), ["", calls, calls]);
    let careless = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'otpd'::regnamespace
                    AND prorettype <> 'trigger'::regtype
                    AND (prosecdef OR 'search_path=pg_catalog, pg_temp' <> ALL(proconfig))";
    assert_eq!(server.sql("otpd", careless), "0");
}

#[tokio::test]
async fn the_trail_is_cut_off_by_administrators_alone() {
    let server = Server::start();
    let (office, web) = hosts(&server);
    for _ in 0..5 {
        charge(&web, "alice").await.expect("a message");
    }
    let late = Timestamp(i64::MAX);
    let cut = || Chore::Audit { until: late, now: late };
    assert_eq!(web.tidy(cut()).await, Ok(0));
    assert_eq!(server.sql("otpd", "SELECT count(*) FROM otpd.audit"), "5");
    assert_eq!(office.tidy(cut()).await, Ok(4), "all but the newest");
    assert_eq!(server.sql("otpd", "SELECT count(*) FROM otpd.audit"), "1");
}

fn refused(opened: Result<Postgres, crate::store::PostgresError>) -> String {
    opened.map(drop).expect_err("it is refused").to_string()
}

#[tokio::test]
async fn the_owner_alone_makes_the_schema_and_others_say_so() {
    let server = Server::start();
    server.divide();
    let examined = |role: &str| {
        let settings = PostgresSettings { user: role.to_owned(), ..settings(&server) };
        examine_postgres(&settings).map_err(|error| error.to_string())
    };
    assert_eq!(examined("otpd_owner"), Ok(None));
    for role in ["web", "office"] {
        assert_eq!(examined(role), Err(refused(open_as(&server, role, keys(), 1))), "foreseen");
        let told = refused(open_as(&server, role, keys(), 1));
        for part in ["has no schema of otpd yet", role, "otpd --migrate OWNER"] {
            assert!(told.contains(part), "{told}");
        }
    }
    divide_again(&server);
    drop(open_as(&server, "web", keys(), 1).expect("now it is there"));
    let older = "UPDATE otpd.refinery_schema_history SET version = 0";
    server.execute("otpd", older);
    let told = refused(open_as(&server, "web", keys(), 1));
    assert!(told.contains("of an older otpd (0)") && told.contains("otpd --migrate"), "{told}");
    for role in ["web", "otpd_owner"] {
        let told = examined(role).expect_err("the others would be refused");
        assert!(told.contains("older otpd share it (its schema is 0"), "{told}");
    }
    // One that is newer is nothing that a role could bring further.
    server.execute("otpd", "UPDATE otpd.refinery_schema_history SET version = 99");
    let told = refused(open_as(&server, "web", keys(), 1));
    assert!(told.contains("a newer otpd has used it (its schema is 99"), "{told}");
    server.execute("otpd", "UPDATE otpd.refinery_schema_history SET version = 1");
    assert_eq!(examined("web"), Ok(Some(keys().check.to_vec())));

    // Whoever is not its owner is told so, and changes nothing.
    let mut hers = settings(&server);
    hers.user = "office".to_owned();
    let told = migrate_postgres(&hers, Some(&keys())).expect_err("not hers").to_string();
    assert!(told.contains("the role office may not change that"), "{told}");
    // What is made belongs to the owner, though another of its members makes it.
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'otpd'";
    assert_eq!(server.sql("otpd", owners), "otpd_owner");
}

fn divide_again(server: &Server) {
    server.execute("postgres", "CREATE ROLE upgrader LOGIN IN ROLE otpd_owner");
    let mut owner = settings(server);
    owner.user = "upgrader".to_owned();
    migrate_postgres(&owner, Some(&keys())).expect("a member of the owner may");
    migrate_postgres(&owner, Some(&keys())).expect("again changes nothing");
}

#[tokio::test]
async fn a_database_of_one_role_is_divided_later() {
    let server = Server::start();
    let alone = serve(open(&server, keys(), 1).expect("a database"));
    assert_eq!(charge(&alone, "alice").await, Ok(1));
    assert_eq!(alone.may_administer(), Ok(()));
    // As where a database administrator made it: what is otpd's is the schema alone.
    server.execute("postgres", "ALTER DATABASE otpd OWNER TO postgres");
    server.divide();
    let told = refused(open_as(&server, "web", keys(), 2));
    assert!(told.contains("roles.sql"), "{told}");
    migrate_postgres(&settings(&server), Some(&keys())).expect("its owner gives them their rights");
    let web = serve(open_as(&server, "web", keys(), 2).expect("they came"));
    assert_eq!(charge(&web, "alice").await, Ok(2));
    assert_eq!(web.may_administer(), Err(StoreError::Forbidden));
    assert_eq!(charge(&alone, "alice").await, Ok(3), "and the one role goes on");
    assert_eq!(enroll(&alone, "alice", "+13125550123").await, Ok(()));
    // Every host has its password: nobody comes in by it any more, and another one stands for it.
    server.execute("postgres", "ALTER ROLE otpd NOLOGIN");
    server.execute("postgres", "GRANT otpd TO otpd_owner");
    let owner = PostgresSettings { user: "otpd_owner".to_owned(), ..settings(&server) };
    migrate_postgres(&owner, Some(&keys())).expect("it upgrades what the other owns");
}

#[tokio::test]
async fn a_superuser_who_divides_a_database_runs_nothing_of_what_is_in_it() {
    let server = Server::start();
    drop(open(&server, keys(), 1).expect("a database"));
    // What a host that fell could do while it had the one role there was.
    let trap = "RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE otpd SUPERUSER; END $$";
    let mine = settings(&server).user;
    assert_eq!(
        server.refusal(&mine, &format!("CREATE OR REPLACE FUNCTION otpd.grant_rights() {trap}")),
        ""
    );
    server.execute("otpd", "GRANT CREATE ON SCHEMA public TO otpd");
    let nearer = "CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE plpgsql AS
                  $$ BEGIN ALTER ROLE otpd SUPERUSER; RETURN 'SELECT 1'; END $$";
    assert_eq!(server.refusal(&mine, nearer), "");
    server.divide();
    let is_one = "SELECT rolsuper FROM pg_roles WHERE rolname = 'otpd'";
    assert_eq!(server.sql("otpd", is_one), "f");
}

#[tokio::test]
async fn what_a_fallen_host_wrote_keeps_no_other_from_its_work() {
    let server = Server::start();
    let (office, web) = hosts(&server);
    charge(&web, "alice").await.expect("a message");
    let details = "decode('00', 'hex')";
    let future = i64::MAX;
    // Each heard of later than the host that is to be heard.
    let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 30000";
    let add = "INSERT INTO otpd.host (name, run, machine, started_at, seen_at, stopped, details)";
    for statement in [
        "INSERT INTO otpd.meta VALUES ('clock x', '')".to_owned(),
        format!("{add} VALUES ('web9', 1, '', 1, {future}, false, {details})"),
        format!("{add} SELECT 'a' || run, run, '', 1, {now}, false, {details} FROM generate_series(1, 1200) AS run"),
        "INSERT INTO otpd.audit SELECT base + (pg_current_xact_id()::text::bigint << 16) + 1, 5, NULL,
           E'\\x1b', 'nobody', 'no JSON' FROM otpd.audit_base"
            .to_owned(),
    ] {
        assert_eq!(server.refusal("web", &statement), "", "{statement}");
    }
    let engine = open_as(&server, "office", keys(), 1).expect("it starts");
    let reader = Reader::postgres(&engine).expect("a thread");
    let word = |run| Word {
        run: Instance(run),
        begun: None,
        presence: Presence { key: 7, ..Presence::unknown() },
        stopped: false,
    };
    reader.tell(word(3)).await.expect("told");
    let heard = reader.hosts().await.expect("a read");
    let find = |name: &str| heard.iter().find(|host| host.name == name).cloned();
    assert_eq!(find("web9").map(|host| host.life), None, "it was forgotten, being ahead");
    assert_eq!(find("web1").expect("the office").presence.key, 7, "nobody hides it");
    let events = reader.events(Trail::default(), i64::MIN, i64::MAX, 9).await.expect("a read");
    let told = events.iter().map(|event| (event.account.as_str(), event.event.as_str()));
    assert_eq!(told.clone().next_back(), Some((Account::host().as_str(), "unknown")));
    assert!(events.len() > 1, "and the others are there");
    drop((web, office));
    // It is not heard any more once its role is gone.
    server.execute("postgres", "ALTER ROLE web NOLOGIN");
    let heard = reader.hosts().await.expect("a read");
    assert_eq!(heard.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["web1"]);
    reader.tell(word(3)).await.expect("told");
    assert_eq!(server.sql("otpd", "SELECT count(*) FROM otpd.host"), "1", "and is forgotten");
}

#[tokio::test]
async fn a_login_host_does_not_begin_a_trail_of_another_server() {
    let server = Server::start();
    divide(&server, &keys());
    // As after a dump from a server with more transactions behind it.
    server.execute(
        "otpd",
        "INSERT INTO otpd.audit VALUES (1::bigint << 60, 1, NULL, 'a', '\"daemon\"', '{}')",
    );
    let told = refused(open_as(&server, "web", keys(), 1));
    assert!(told.contains("start otpd at a host of administrators first"), "{told}");
    let office = open_as(&server, "office", keys(), 1).expect("administrators may");
    assert!(Engine::administers(&office));
    let web = serve(open_as(&server, "web", keys(), 2).expect("and then everybody"));
    assert_eq!(charge(&web, "alice").await, Ok(1));
}
