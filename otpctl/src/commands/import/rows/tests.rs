//! What is read from lists as people and programs write them.

use std::io::{self, BufReader, Read};

use otp_proto::admin::Channel;

use super::{LONGEST, Row, Rows};

fn rows(list: &[u8]) -> Vec<Row> {
    Rows::new(list).collect()
}

/// A row as text: its line, and what it says or why it says nothing.
fn shown(row: &Row) -> String {
    match &row.content {
        Ok(entry) => {
            let channel = match entry.channel {
                None => "",
                Some(Channel::Sms) => " sms",
                Some(Channel::Voice) => " voice",
            };
            format!("{} {} {}{channel}", row.number, entry.user, entry.phone.expose())
        }
        Err(faulty) => format!("{} {:?} {}", row.number, faulty.user, faulty.why),
    }
}

#[test]
fn no_number_of_a_list_is_in_debug_output() {
    let list = b"user,phone\nalice,+12025550142\nbob,+1 202 555 0142,fax\n+12025550142\ncarol,\n";
    let shown = rows(list).iter().map(|row| format!("{:?}", row.content)).collect::<Vec<_>>();
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert!(shown[0].contains("Secret(..)"), "{shown:?}");
    assert!(shown[1..].iter().all(|row| row.starts_with("Err")), "{shown:?}");
    // What stands in the place of a name is shown as one, so that it is found in the list.
    for (index, row) in shown.iter().enumerate().filter(|(index, _)| *index != 2) {
        let digits = row.replace(' ', "");
        assert!(!digits.contains("2025550142"), "{index}: {row}");
    }
}

#[test]
fn rows_are_read_as_they_are_written() {
    let cases: [(&str, &[u8], &[&str]); 12] = [
        ("plain", b"al,+1312\nbo,+1313\n", &["1 al +1312", "2 bo +1313"]),
        ("a header", b"user,phone\nal,+1312\n", &["2 al +1312"]),
        (
            "a header in capitals, with channel",
            b"User,Phone,Channel\nal,+1,sms\n",
            &["2 al +1 sms"],
        ),
        ("BOM and CRLF", b"\xef\xbb\xbfuser,phone\r\nal,+1312\r\n", &["2 al +1312"]),
        ("BOM without a header", b"\xef\xbb\xbfal,+1312\r\n", &["1 al +1312"]),
        ("no line end at the end", b"al,+1312", &["1 al +1312"]),
        ("blank lines", b"\n  \nal,+1312\n\r\n\n", &["3 al +1312"]),
        ("quotes and blanks", b" al ,\"+1 (312) 555\", Voice \n", &["1 al +1 (312) 555 voice"]),
        ("empty columns", b"al,+1312,,,\n", &["1 al +1312"]),
        ("a comma in quotes", b"\"al,b\",+1312\n", &["1 al,b +1312"]),
        ("a comment is a row", b"#al,+1312\n", &["1 #al +1312"]),
        ("nothing", b"", &[]),
    ];
    for (name, list, expected) in cases {
        assert_eq!(rows(list).iter().map(shown).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_row_is_said_and_the_next_one_is_read() {
    let long = [b"al,".to_vec(), vec![b'1'; LONGEST]].concat();
    let cases: [(&str, &[u8], &str); 9] = [
        ("one column", b"al", "None has 1 column; a row is user,phone or"),
        ("semicolons", b"al;+1312", "None has 1 column; a row is user,phone or"),
        ("more columns", b"al,+1,sms,x", "Some(\"al\") has 4 columns; a row is"),
        ("no user", b",+1312", "None names no user"),
        ("no number", b"al,", "Some(\"al\") has no number"),
        ("a channel", b"al,+1312,fax", "Some(\"al\") has a channel other than sms and voice"),
        ("another encoding", b"\xe4nne,+1312", "None is not UTF-8; save the list as"),
        ("a header in the middle", b"user,phone", "None is a header again"),
        ("too long", &long, "None is longer than 4096 bytes"),
    ];
    for (name, row, expected) in cases {
        let list = [b"x,+1\n".as_slice(), row, b"\ny,+2\n"].concat();
        let found = rows(&list).iter().map(shown).collect::<Vec<_>>();
        let [first, faulty, third] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert_eq!((first.as_str(), third.as_str()), ("1 x +1", "3 y +2"), "{name}");
        assert!(faulty.starts_with(&format!("2 {expected}")), "{name}: {faulty}");
        assert!(!faulty.contains("1312"), "{name}: a number is not said");
    }
}

#[test]
fn the_longest_row_fits() {
    let list = [b"al,".to_vec(), vec![b'1'; LONGEST - 3], b"\r\n".to_vec()].concat();
    assert!(rows(&list).iter().all(|row| row.content.is_ok()));
}

#[test]
fn how_far_it_is_ends_at_the_length() {
    let list = b"user,phone\r\nal,+1\r\nbo,+2";
    let read = rows(list).iter().map(|row| row.read).collect::<Vec<_>>();
    assert_eq!(read, [19, 24]);
}

/// Gives bytes without end, none of them a line end.
struct Endless(u64);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the disk fails"));
        }
        self.0 -= 1;
        buffer.fill(b'1');
        Ok(buffer.len())
    }
}

#[test]
fn a_line_without_end_is_not_held_and_a_failure_is_kept() {
    let mut rows = Rows::new(BufReader::with_capacity(1 << 16, Endless(1000)));
    assert!(rows.next().is_none());
    assert_eq!(rows.failed().expect("a failure").to_string(), "the disk fails");
}
