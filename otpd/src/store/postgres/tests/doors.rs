//! Ways in: passwords, certificates, schemas and poolers.

use zeroize::Zeroizing;

use super::{PostgresSettings, Server, StoreError, charge, charged, keys, serve, testing};
use crate::{
    keys::MasterKey,
    postgres_server::{Server as TestServer, certify, pooler},
    store::{Password, Postgres, PostgresError, postgres_key_check},
};

fn opened(settings: PostgresSettings) -> Result<Postgres, PostgresError> {
    Postgres::open(settings, keys(), testing::host(1))
}

fn refusal(settings: PostgresSettings) -> String {
    opened(settings).map(drop).expect_err("it is refused").to_string()
}

fn with_password(server: &TestServer, password: &str) -> PostgresSettings {
    let password = Some(Password::new(Zeroizing::new(password.to_owned())));
    PostgresSettings { password, ..testing::settings(server) }
}

#[tokio::test]
async fn a_wrong_password_is_said_so_and_shown_nowhere() {
    let server = TestServer::start();
    server.let_in("local all postgres trust\nlocal all otpd scram-sha-256\n");
    server.execute("postgres", "SELECT pg_reload_conf()");
    assert!(opened(with_password(&server, "correct horse")).is_ok());
    let refused = refusal(with_password(&server, "hunter2"));
    assert!(refused.contains("password authentication failed"), "{refused}");
    assert!(refused.contains("store.password-file") && !refused.contains("hunter2"), "{refused}");
    let refused = refusal(testing::settings(&server));
    assert!(refused.contains("name the file with the password"), "{refused}");
}

#[tokio::test]
async fn over_tcp_the_certificate_and_its_name_are_checked() {
    let mut server = TestServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let authority = certify(folder.path(), "DNS:localhost", &[]);
    server.certify(folder.path());
    server.let_in("local all all trust\nhostssl all otpd 127.0.0.1/32 scram-sha-256\n");
    let port = server.listen("ssl = on");
    let known = with_password(&server, "correct horse");
    let settings = |name: &str, ca_file| PostgresSettings {
        servers: vec![Server::Tcp { name: name.to_owned(), port }],
        ca_file,
        ..known.clone()
    };
    let store = serve(opened(settings("localhost", Some(authority.clone()))).expect("TLS"));
    assert_eq!(charge(&store, "alice").await, Ok(1));
    let refused = refusal(settings("127.0.0.1", Some(authority)));
    assert!(refused.contains("certificate") && refused.contains("the name"), "{refused}");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let stranger = certify(elsewhere.path(), "DNS:localhost", &[]);
    let refused = refusal(settings("localhost", Some(stranger)));
    assert!(refused.contains("certificate") && refused.contains("store.ca-file"), "{refused}");

    // Without TLS nothing is said, no password either.
    server.stop();
    server.let_in("local all all trust\nhost all otpd 127.0.0.1/32 password\n");
    let port = server.listen("ssl = off");
    let plain = PostgresSettings {
        servers: vec![Server::Tcp { name: "localhost".to_owned(), port }],
        ..settings("localhost", Some(certify(folder.path(), "DNS:localhost", &[])))
    };
    let refused = refusal(plain);
    assert!(refused.contains("TLS") && refused.contains("switch ssl on"), "{refused}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let server = TestServer::start();
    let check = || postgres_key_check(&testing::settings(&server)).expect("a server");
    assert_eq!(check(), None, "a new one");
    let store = serve(opened(testing::settings(&server)).expect("a database"));
    assert_eq!(check(), Some(keys().check.to_vec()));
    let newer = "INSERT INTO otpd.refinery_schema_history VALUES (99, 'newer', '', '')";
    server.execute("otpd", newer);
    assert_eq!(charge(&store, "alice").await, Err(StoreError::Unavailable), "while it runs too");
    for refused in [
        refusal(testing::settings(&server)),
        postgres_key_check(&testing::settings(&server)).map(drop).expect_err("newer").to_string(),
    ] {
        assert!(refused.contains("a newer otpd has used it (its schema is 99"), "{refused}");
    }
    let others = MasterKey::from_bytes([2; 32]).derive();
    server.execute("otpd", "DELETE FROM otpd.refinery_schema_history WHERE version = 99");
    assert_eq!(charge(&store, "alice").await, Ok(1));
    let refused = testing::open(&server, others, 1).map(drop).expect_err("another key").to_string();
    assert!(refused.contains("every host of the database needs the same one"), "{refused}");
}

#[tokio::test]
async fn a_pooler_of_transactions_serves_as_the_server_does() {
    let server = TestServer::start();
    let pooler = pooler(&server);
    let settings = || PostgresSettings {
        servers: vec![Server::Socket { folder: pooler.folder().to_owned(), port: 6432 }],
        ..testing::settings(&server)
    };
    // Twice, as each start of a daemon asks everything again, by connections that others have used.
    for _ in 0..2 {
        drop(opened(settings()).expect("a database"));
    }
    let hosts = [1, 2, 3].map(|number| {
        serve(Postgres::open(settings(), keys(), testing::host(number)).expect("a database"))
    });
    let all = (0..150).map(|nth| {
        let store = hosts[nth % hosts.len()].clone();
        tokio::spawn(async move { charge(&store, "alice").await })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.expect("a task").expect("a commit");
    }
    assert_eq!(charged(&hosts[0], "alice").await, Ok(150));
    let engine = opened(settings()).expect("a database");
    let reader = crate::store::Reader::postgres(&engine).expect("a thread");
    let alice = crate::domain::account::Account::new("alice").expect("a name");
    let read = reader.account(alice).await.expect("a read");
    assert_eq!(read.login.messages.in_a_day(super::NOW), 150);
    let named = "SELECT count(*) FROM pg_prepared_statements";
    assert_eq!(server.sql("otpd", named), "0");
}

#[tokio::test]
async fn nothing_that_another_role_made_in_the_database_is_run() {
    let server = TestServer::start();
    // What has the very types of a call is taken before what takes any, wherever it stands in the
    // path; so is an operator.
    for kind in ["text", "bytea"] {
        server.execute(
            "otpd",
            &format!(
                "CREATE FUNCTION public.unnest({kind}[]) RETURNS SETOF {kind} LANGUAGE plpgsql
                 AS 'BEGIN RAISE EXCEPTION ''hers''; END'"
            ),
        );
    }
    server.execute(
        "otpd",
        "CREATE FUNCTION public.hers(numeric, integer) RETURNS numeric LANGUAGE plpgsql
         AS 'BEGIN RAISE EXCEPTION ''hers''; END';
         CREATE OPERATOR public.* (FUNCTION = public.hers, LEFTARG = numeric, RIGHTARG = integer)",
    );
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    assert_eq!(charge(&store, "alice").await, Ok(1));
    assert_eq!(charged(&store, "alice").await, Ok(1));
}

#[tokio::test]
async fn a_role_without_rights_holds_nobody_up() {
    let server = TestServer::start();
    server.execute("postgres", "CREATE ROLE mallory LOGIN");
    let hers = PostgresSettings { user: "mallory".to_owned(), ..testing::settings(&server) };
    let connector = super::super::connect::Connector::new(hers).expect("a way");
    let session = connector.connect().await.expect("she is let in");
    // Whatever she may take: "otpd" and the numbers after it, shared by nobody.
    for number in 0..8 {
        let lock = format!("SELECT pg_advisory_lock(x'6f747064'::int, {number})");
        session.simple(&lock).await.expect("anybody may");
    }
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    assert_eq!(charge(&store, "alice").await, Ok(1));
    session.simple("LOCK TABLE otpd.audit IN ACCESS SHARE MODE").await.expect_err("no right");
    drop(session);
}

#[tokio::test]
async fn why_no_connection_can_be_made_is_said_while_it_serves() {
    let server = TestServer::start();
    let mut engine = testing::open(&server, keys(), 1).expect("a database");
    server.execute("postgres", "ALTER ROLE otpd NOLOGIN");
    // Tried, and not tried again for a while.
    for _ in 0..2 {
        let trouble = engine.session().await.map(drop).expect_err("it is not let in");
        assert!(trouble.to_string().contains("is not permitted to log in"), "{trouble}");
        assert!(trouble.remedy().contains("pg_hba.conf"), "{}", trouble.remedy());
        assert!(!trouble.is_passing());
        assert!(engine.away);
    }
    server.execute("postgres", "ALTER ROLE otpd LOGIN");
    engine.rest = None;
    assert!(engine.session().await.is_ok());
    assert!(!engine.away, "that it is back was said");
}

#[tokio::test]
async fn a_role_that_owns_its_schema_alone_needs_no_more() {
    let server = TestServer::start();
    server.execute("postgres", "ALTER DATABASE otpd OWNER TO postgres");
    let refused = refusal(testing::settings(&server));
    assert!(refused.contains("own the database or its schema otpd"), "{refused}");
    server.execute("otpd", "CREATE SCHEMA otpd AUTHORIZATION otpd");
    let store = serve(testing::open(&server, keys(), 1).expect("a database"));
    assert_eq!(charge(&store, "alice").await, Ok(1));
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let server = TestServer::start();
    let make = "CREATE DATABASE latin OWNER otpd TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'";
    server.execute("postgres", make);
    let latin = PostgresSettings { database: "latin".to_owned(), ..testing::settings(&server) };
    let refused = refusal(latin);
    assert!(refused.contains("LATIN1") && refused.contains("--encoding UTF8"), "{refused}");
}

#[tokio::test]
async fn a_socket_that_anybody_may_have_made_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start();
    drop(testing::open(&server, keys(), 1).expect("a database"));
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(server.folder(), mode).expect("a mode");
    };
    mode(0o1777);
    let refused = refusal(testing::settings(&server));
    assert!(refused.contains("everybody may write to"), "{refused}");
    mode(0o755);
    drop(testing::open(&server, keys(), 1).expect("a database"));
}

/// A socket of one user, at which another one answers.
#[tokio::test]
async fn a_server_that_answers_at_anothers_socket_is_refused() {
    use std::os::unix::fs::{MetadataExt, chown};
    let server = TestServer::start();
    let socket = server.folder().join(format!(".s.PGSQL.{}", server.port()));
    let its = socket.metadata().expect("a socket").uid();
    chown(&socket, Some(its + 1), None).expect("the tests are root");
    let refused = refusal(testing::settings(&server));
    assert!(refused.contains(&its.to_string()), "{refused}");
    assert!(refused.contains("see who listens there, and end it"), "{refused}");
    chown(&socket, Some(its), None).expect("the same");
    drop(testing::open(&server, keys(), 1).expect("a database"));
}
