//! The daemon killed while it does what is done once for a store: the end of an import, and the first schema.

use std::{fs, os::unix::process::ExitStatusExt};

use otp_proto::{admin::Import, login::Verdict};
use otpd_tests::{
    daemon::{Daemon, Keeper, Place, failpoints},
    phone::Phone,
    postgres::Server,
    wall::Wall,
};

use super::{
    backup::lines,
    failpoints::{NUMBER, USER, World, armed, start},
    people::outcome,
    postgres::copy_key,
};

/// It ends with two commits: that it was made is written down, and then people are let in.
fn ends_an_import(keeper: Keeper) {
    let old = World::enrolled(Keeper::Sqlite);
    let export = old.place.file("out.export");
    let export = export.to_str().expect("a path");
    assert_eq!(outcome(old.place.otpctl(&["store", "export", export])).0, Some(0));
    let mut place = Place::new(&old.phone);
    copy_key(&old.place, &place);
    let wall = Wall::new(&place);
    if keeper == Keeper::Postgres {
        place.own(Server::start_by(wall.words(), ""));
    }
    let daemon = start(&place, &wall);
    let text = fs::read_to_string(export).expect("text");
    let all = lines(&text).collect::<Vec<_>>();
    let (last, before) = all.split_last().expect("an end");
    let mut wire = daemon.connect();
    let piece = |text: &&str| Import { text: (*text).to_owned(), dry_run: false };
    for piece in before.iter().flatten().map(piece) {
        wire.call(&piece).expect("taken");
    }
    fs::write(armed(&place), "failpoint-committed 1").expect("a file");
    for piece in last.iter().map(piece) {
        assert!(wire.post(&piece));
        // Of the last one nothing is heard any more.
        let _ = wire.reply::<Import>();
    }
    let died = daemon.wait();
    assert_eq!(died.signal(), Some(9), "{keeper:?}: {died:?}");
    fs::remove_file(armed(&place)).expect("the file");

    let daemon = start(&place, &wall);
    daemon.wait_for("an import came to no end");
    assert_eq!(daemon.connect().begin(USER).step.verdict, Some(Verdict::Unavailable), "{keeper:?}");
    let (exit, _, stderr) = outcome(place.otpctl(&["store", "import", export, "--yes"]));
    assert_eq!((exit, stderr.as_str()), (Some(0), ""), "{keeper:?}");
    let World { phone, daemon: first, .. } = old;
    drop(first);
    let world = World { phone, place, wall, daemon };
    world.logs_in();
    let (_, log, _) = outcome(world.place.otpctl(&["log", "--json"]));
    let made = log.matches("\"backup-restored\"").count();
    assert_eq!(made, 2, "{keeper:?}: once before the end, and once for good: {log}");
}

#[test]
fn killed_between_the_two_halves_of_an_imports_end() {
    Keeper::ALL.into_iter().for_each(ends_an_import);
}

/// What there is of the schema: its tables, sequences and indexes, whether the key is noted, and whether
/// logins can be kept.
fn schema(server: &Server) -> (u32, bool, bool) {
    let number = |select: &str| server.sql("otpd", select).parse::<u32>().expect("a number");
    let all = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('otpd')";
    let login = number("SELECT (to_regclass('otpd.login') IS NOT NULL)::int") == 1;
    let keyed = "SELECT count(*) FROM otpd.meta WHERE name = 'key-check'";
    (number(all), login, login && number(keyed) == 1)
}

/// At a server on which no daemon ever was.
fn makes_a_schema(point: &str, is_made: bool) {
    let phone = Phone::start();
    let mut place = Place::new(&phone);
    let wall = Wall::new(&place);
    place.own(Server::start_by(wall.words(), ""));
    fs::write(armed(&place), format!("failpoint-{point} 1")).expect("a file");
    let mut command = wall.under(place.command_of(failpoints()));
    command.env("OTPD_FAILPOINT", armed(&place));
    let died = Daemon::try_spawn(command, place.socket(), ": ready ").err().expect("its end");
    assert_eq!(died.signal(), Some(9), "{point}: {died:?}");
    fs::remove_file(armed(&place)).expect("the file");
    place.wait_until_left();
    let found = schema(place.server().expect("a server"));

    let daemon = start(&place, &wall);
    let whole = schema(place.server().expect("a server"));
    assert!(whole.1 && whole.2, "{point}: {whole:?}");
    assert_eq!(found, if is_made { whole } else { (0, false, false) }, "{point}: all or nothing");
    daemon.enroll(&phone, USER, NUMBER);
    World { phone, place, wall, daemon }.logs_in();
}

#[test]
fn killed_while_the_first_daemon_makes_the_schema() {
    makes_a_schema("written", false);
    makes_a_schema("committed", true);
}
