//! Backups that are whole, and those that are not.

use proptest::prelude::*;

use super::{Counts, FormatError, Header, Incoming, Line, Newest, Outgoing, Page};
use crate::{
    domain::{
        budget::{Budget, Traffic},
        enrollment::NumberIndex,
        login::LoginState,
        records::TrafficKey,
        restore::Kept,
        scene::{START, Scene, account, ssh},
    },
    keys::{Keys, MasterKey},
    store::{Piece, TrailRow},
};

fn keys(byte: u8) -> Keys {
    MasterKey::from_bytes([byte; 32]).derive()
}

fn header(backup: u64) -> Header {
    Header {
        retired: None,
        backup,
        taken_at: START,
        host: "box".to_owned(),
        version: "1.2.3".to_owned(),
        key_id: keys(1).id,
        enrolled: 2,
        newest: Some(Newest { id: 7, at: START }),
    }
}

fn event(id: i64, length: usize) -> TrailRow {
    TrailRow {
        id,
        at: START,
        request: Some(3),
        account: "alice".to_owned(),
        actor: "\"claimant\"".to_owned(),
        event: "x".repeat(length),
    }
}

/// A backup with every kind of row, on more than one page each.
fn lines(backup: u64) -> Vec<String> {
    let mut scene = Scene::new();
    scene.start(ssh(1));
    let kept = |name: &str| Kept {
        account: account(name),
        enrollment: scene.enrollments.get(&account(name)).cloned(),
        login: scene.login(name),
    };
    let (mut outgoing, first) = Outgoing::begin(keys(1), &header(backup)).expect("a line");
    let mut lines = vec![first];
    let mut piece = |piece| lines.extend(outgoing.piece(piece).expect("lines"));
    let (mut budget, mut traffic) = (Budget::default(), Traffic::default());
    budget.charge_proof(START);
    traffic.charge_all(START);
    piece(Piece::Budgets(vec![(NumberIndex([1; 16]), budget)]));
    let keys = ["US".parse().map(TrafficKey::Country).expect("a country"), TrafficKey::All];
    piece(Piece::Traffic(keys.map(|key| (key, traffic.clone())).into()));
    piece(Piece::Accounts((0..64).map(|_| kept("alice")).chain([kept("bob")]).collect()));
    piece(Piece::Accounts(Vec::new()));
    lines.extend(
        outgoing.trail(vec![event(7, 5000), event(6, 40_000), event(5, 1)]).expect("lines"),
    );
    lines.push(outgoing.end().expect("a line"));
    lines
}

/// Everything that is read before the end, or the first error.
fn read(incoming: &mut Incoming, lines: &[String]) -> Result<Vec<Line>, FormatError> {
    lines.iter().filter_map(|line| incoming.feed(line).transpose()).collect()
}

fn first_error(lines: &[String]) -> FormatError {
    read(&mut Incoming::new(keys(1)), lines).expect_err("not as it was written")
}

#[test]
fn what_is_written_is_read() {
    let lines = lines(9);
    assert!(lines.len() > 7, "more than a page: {}", lines.len());
    assert!(lines[0].starts_with("otpd-backup 1 1.2.3 "), "{}", lines[0]);
    let mut incoming = Incoming::new(keys(1));
    let read = read(&mut incoming, &lines).expect("a backup");
    assert!(incoming.is_whole());
    assert_eq!(read[0], Line::Header(header(9)));
    let counts = Counts { accounts: 65, budgets: 1, traffic: 2, events: 3 };
    assert_eq!(read.last(), Some(&Line::Page(Page::End(counts))));
    let kinds = [&read[1], &read[2]].map(|line| match line {
        Line::Page(Page::Budgets(_)) => "budgets",
        Line::Page(Page::Traffic(_)) => "traffic",
        _ => "another",
    });
    assert_eq!(kinds, ["budgets", "traffic"], "what counts comes before who logs in");
    let Line::Page(Page::Accounts(rows)) = &read[3] else { panic!("{:?}", read[3]) };
    assert!(rows[0].login.challenges.is_empty(), "nothing that is under way");
    let number = rows[0].number.as_ref().expect("a number");
    assert!(keys(1).unseal(&account("alice"), &number.sealed).is_ok());
    let all = lines.concat();
    assert!(!all.contains("3125550142") && all.lines().count() == lines.len());
    assert_eq!(lines.iter().map(String::len).max().map(|longest| longest > 50_000), Some(true));
}

#[test]
fn what_counts_never_comes_after_accounts() {
    let kept = Kept { account: account("alice"), enrollment: None, login: LoginState::default() };
    let late = [
        ("budgets", Piece::Budgets(vec![(NumberIndex([1; 16]), Budget::default())])),
        ("traffic", Piece::Traffic(vec![(TrafficKey::All, Traffic::default())])),
    ];
    for (name, late) in late {
        let (mut outgoing, first) = Outgoing::begin(keys(1), &header(9)).expect("a line");
        let mut lines = vec![first];
        for piece in [late.clone(), Piece::Accounts(vec![kept.clone()]), late] {
            lines.extend(outgoing.piece(piece).expect("lines"));
        }
        let mut incoming = Incoming::new(keys(1));
        assert_eq!(read(&mut incoming, &lines[..3]).map(|read| read.len()), Ok(3), "{name}");
        assert_eq!(first_error(&lines), FormatError::TooLate { line: 4 }, "{name}");
    }
}

#[test]
fn any_cut_into_pieces_reads_the_same() {
    let lines = lines(9);
    let mut incoming = Incoming::new(keys(1));
    for line in &lines {
        for piece in line.as_bytes().chunks(1000) {
            incoming.feed(std::str::from_utf8(piece).expect("ASCII")).expect("a piece");
        }
    }
    assert!(incoming.is_whole());
}

#[test]
fn what_is_cut_off_is_never_whole() {
    let lines = lines(9);
    for count in 0..lines.len() {
        let mut incoming = Incoming::new(keys(1));
        read(&mut incoming, &lines[..count]).expect("as far as it goes");
        assert!(!incoming.is_whole(), "{count} lines");
        // And half of the next line.
        let half = &lines[count][..lines[count].len() / 2];
        assert_eq!(incoming.feed(half), Ok(None));
        assert!(!incoming.is_whole(), "{count} lines and a half");
    }
}

#[test]
fn lines_have_one_place_in_one_backup() {
    let lines = lines(9);
    let other = self::lines(10);
    for place in 1..lines.len() {
        let damaged = FormatError::Damaged { line: place as u64 + 1 };
        let mut without = lines.clone();
        without.remove(place);
        if place + 1 < lines.len() {
            assert_eq!(first_error(&without), damaged, "line {place} is missing");
        }
        let mut twice = lines.clone();
        twice.insert(place, lines[place - 1].clone());
        assert_eq!(first_error(&twice), damaged, "line {place} is there twice");
        let mut foreign = lines.clone();
        foreign[place].clone_from(&other[place]);
        assert_eq!(first_error(&foreign), damaged, "line {place} of another backup");
    }
    let mut more = lines.clone();
    more.push(lines[1].clone());
    assert_eq!(first_error(&more), FormatError::AfterEnd { line: lines.len() as u64 + 1 });
}

#[test]
fn what_is_no_backup_is_told_apart() {
    let first = lines(9).remove(0);
    let newer = first.replace(" 1 1.2.3 ", " 2 9.0.0\u{1b} ");
    let other = {
        let theirs = Header { key_id: keys(2).id, ..header(9) };
        Outgoing::begin(keys(2), &theirs).expect("a line").1
    };
    let key = FormatError::OtherKey { theirs: keys(2).id, ours: keys(1).id };
    let cases = [
        ("empty", "\n".to_owned(), FormatError::Foreign),
        ("something else", "SQLite format 3\0\n".to_owned(), FormatError::Foreign),
        ("the word alone", "otpd-backup\n".to_owned(), FormatError::Foreign),
        ("no format", "otpd-backup x y z\n".to_owned(), FormatError::Foreign),
        ("two lines in one piece", "a\nb\n".to_owned(), FormatError::Foreign),
        ("a newer format", newer, FormatError::Newer { otpd: "9.0.0".to_owned() }),
        ("another key", other, key),
        ("another version", first.replace("1.2.3", "1.2.4"), FormatError::Damaged { line: 1 }),
        ("no content", "otpd-backup 1 1.2.3\n".to_owned(), FormatError::Damaged { line: 1 }),
    ];
    for (name, text, expected) in cases {
        let error = Incoming::new(keys(1)).feed(&text).expect_err(name);
        assert_eq!(error, expected, "{name}");
    }
    let endless = "otpd-backup 1 ".repeat(super::LONGEST_LINE / 14 + 1);
    assert_eq!(Incoming::new(keys(1)).feed(&endless), Err(FormatError::Foreign));
}

/// Who has another key and says it is ours gets no line through either.
#[test]
fn a_backup_of_another_key_cannot_say_it_is_of_ours() {
    let (_, forged) = Outgoing::begin(keys(2), &header(9)).expect("a line");
    assert_eq!(first_error(&[forged]), FormatError::Damaged { line: 1 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_byte_that_is_another_is_seen(line in 0usize..8, place in any::<prop::sample::Index>(), flip in 1u8..64) {
        let mut lines = lines(9);
        let line = line % lines.len();
        let mut bytes = lines[line].clone().into_bytes();
        // But for the line feed, without which it is a piece of a line.
        let place = place.index(bytes.len() - 1);
        bytes[place] ^= flip;
        prop_assume!(bytes[place] != b'\n');
        if let Ok(text) = String::from_utf8(bytes) {
            lines[line] = text;
            prop_assert!(read(&mut Incoming::new(keys(1)), &lines).is_err());
        }
    }
}
