//! Lists of numbers, row by row.

#[path = "edit.rs"]
mod edit;

use self::edit::{TIME, edited};
use super::Rows;

const LISTS: [&[u8]; 5] = [
    b"user,phone,channel\nalice,+13125550142,sms\nbob,+13125550177,voice\n",
    b"\xef\xbb\xbfuser,phone\r\nalice,\"+1 312 555 0142\"\r\n",
    b"alice,+13125550142,,,\n\n \nbob,+13125550177",
    b"alice;+13125550142\nalice\talice,\"+1\n3125550142\"",
    b"alice,+13125550142,pigeon\nalice\n,+13125550142\nalice,\n",
];

#[test]
fn lists() {
    bolero::check!(name = "lists").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("lists", input);
        let bytes = edited(&LISTS, input);
        let lines = bytes.split(|byte| *byte == b'\n').count();
        let mut rows = Rows::new(bytes.as_slice());
        let (mut last, mut read) = (0, 0);
        for row in rows.by_ref() {
            assert!(row.number > last && row.number <= lines as u64, "rows are lines, ascending");
            assert!(row.read > read && row.read <= bytes.len() as u64);
            (last, read) = (row.number, row.read);
            match row.content {
                Ok(entry) => {
                    assert!(!entry.user.is_empty() && !entry.phone.expose().is_empty());
                    assert!(!entry.user.contains('\n') && !entry.phone.expose().contains('\n'));
                    // The user's name is shown, and may say anything.
                    let anonymous = super::Entry { user: String::new(), ..entry };
                    let shown = format!("{anonymous:?}");
                    assert!(!shown.contains("3125550"), "{shown}");
                }
                // What is wrong is said in fixed words.
                Err(faulty) => assert!(!faulty.why.contains("3125550"), "{}", faulty.why),
            }
        }
        assert!(rows.failed().is_none(), "memory does not fail");
    });
    edit::report("lists");
}
