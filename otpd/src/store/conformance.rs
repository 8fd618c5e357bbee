//! What every engine must do, written once and run over each of them.

mod abuse;
mod attacks;
mod behaviours;
mod damaged;
mod faults;
mod numbers;
mod pumping;
mod reads;
mod retention;
mod rotation;
mod snapshots;
mod stolen;
mod town;

pub(super) use behaviours::issued;
pub(super) use faults::Gate;
pub(super) use rotation::rotation;
use std::{
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use super::{Engine, Reader, Store};
use crate::{
    clock::Clock,
    domain::{
        account::Account,
        audit::AuditEvent,
        challenge::{Channel, Host},
        enrollment::{Enrollment, NumberIndex},
        phone::{Country, Destination, Line},
        records::{Decided, Records},
        time::Timestamp,
    },
    keys::{Keys, MasterKey},
};

/// The time of all tests that do not move it.
const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// One database that can be opened again and again.
trait Subject {
    type Engine: Engine + rotation::Keyed + Send + 'static;

    /// Opens the database; an empty one the first time.
    fn open(&self, keys: Keys) -> Result<Self::Engine, String>;

    /// Reads what was opened before.
    fn reader(&self, keys: Keys) -> Reader;

    /// All bytes that the database keeps on disk.
    fn bytes(&self) -> Vec<u8>;

    /// The rows of a table.
    fn count(&self, table: &str) -> i64;

    /// Puts nonsense into this column of the rows of a table that are named so, behind the engine's back.
    fn spoil(&self, table: &str, column: &str, rows: &str);

    /// The tables that rows of Alice's are in by her name.
    fn named(&self) -> &'static [&'static str];

    /// Has Alice's rows in these tables bear a name that no account has, behind the engine's back; as it is
    /// shown.
    fn misname_alice(&self, tables: &[&str]) -> &'static str;

    /// This machine, where others may share the database.
    fn host(&self) -> Option<Host>;

    /// What the guide has an administrator do after a rotation, so that nothing of before is on disk.
    fn clean_up(&self);
}

/// A running store, and the events that it handed to the log.
struct Running {
    store: Store,
    events: Arc<Mutex<Vec<AuditEvent>>>,
    thread: JoinHandle<()>,
}

impl Running {
    fn start<E: Engine + Send + 'static>(engine: E) -> Self {
        Self::with_clock(engine, Clock::from_fn(|| NOW))
    }

    fn with_clock<E: Engine + Send + 'static>(engine: E, clock: Clock) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let log = Arc::new(move |event: &AuditEvent| sink.lock().unwrap().push(event.clone()));
        let (store, thread) = Store::start(engine, clock, log).expect("a thread");
        Self { store, events, thread }
    }

    /// Stops the store; all that was answered is on disk, as after a kill.
    fn stop(self) -> Vec<AuditEvent> {
        drop(self.store);
        self.thread.join().expect("the store's thread ends in order");
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

fn keys(seed: u8) -> Keys {
    MasterKey::from_bytes([seed; 32]).derive()
}

fn account(name: &str) -> Account {
    Account::new(name).expect("a name")
}

fn enrollment(number: &str, index: u8) -> Enrollment {
    let destination = Destination {
        number: number.parse().expect("a number"),
        country: "US".parse::<Country>().expect("a country"),
        line: Line::FixedOrMobile,
    };
    let range = keys(1).range(&destination.number);
    Enrollment::new(destination, NumberIndex([index; 16]), range, Channel::Sms, NOW)
}

/// A decision that changes the records by `change` and answers with its result.
fn changing<A: Send + 'static>(
    change: impl Fn(&mut Records) -> A + Send + 'static,
) -> impl Fn(&Records, Timestamp) -> Decided<A> + Send + 'static {
    move |records, _| {
        let mut records = records.clone();
        let answer = change(&mut records);
        Decided { records, audit: Vec::new(), answer }
    }
}

struct SqliteFile(tempfile::TempDir);

impl SqliteFile {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("otpd.db")
    }
}

impl Subject for SqliteFile {
    type Engine = super::Sqlite;

    fn open(&self, keys: Keys) -> Result<super::Sqlite, String> {
        super::Sqlite::open(&self.path(), keys).map_err(|error| error.to_string())
    }

    fn reader(&self, keys: Keys) -> Reader {
        Reader::sqlite(&self.path(), keys).expect("the same database")
    }

    fn host(&self) -> Option<Host> {
        None
    }

    fn clean_up(&self) {}

    fn count(&self, table: &str) -> i64 {
        let db = rusqlite::Connection::open(self.path()).expect("the database");
        let select = format!("SELECT count(*) FROM {table}");
        db.query_row(&select, [], |row| row.get(0)).expect("a number")
    }

    fn spoil(&self, table: &str, column: &str, rows: &str) {
        let db = rusqlite::Connection::open(self.path()).expect("the database");
        let update = format!("UPDATE {table} SET {column} = x'85' WHERE {rows}");
        assert_ne!(db.execute(&update, []), Ok(0), "{rows}");
    }

    fn named(&self) -> &'static [&'static str] {
        &["enrollment", "login"]
    }

    fn misname_alice(&self, tables: &[&str]) -> &'static str {
        let db = rusqlite::Connection::open(self.path()).expect("the database");
        for table in tables {
            let update = "SET account = CAST(x'616cff696365' AS TEXT) WHERE account = 'alice'";
            let done = db.execute(&format!("UPDATE {table} {update}"), []);
            assert_ne!(done, Ok(0), "{table}");
        }
        "/al%FFice"
    }

    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.0.path()).expect("the directory");
        files.flat_map(|file| std::fs::read(file.expect("a file").path()).expect("bytes")).collect()
    }
}

/// A database of a server of its own.
struct Shared(crate::postgres_server::Server);

impl Shared {
    fn new() -> Self {
        Self(crate::postgres_server::Server::start())
    }
}

/// The same, used by the role of a host of administrators.
struct Divided(Shared);

impl Divided {
    fn new() -> Self {
        let shared = Shared::new();
        super::postgres::testing::divide(&shared.0, &keys(1));
        Self(shared)
    }
}

impl Subject for Divided {
    type Engine = super::Postgres;

    fn open(&self, keys: Keys) -> Result<super::Postgres, String> {
        let opened = super::postgres::testing::open_as(&self.0.0, "office", keys, 1);
        opened.map_err(|error| error.to_string())
    }

    fn reader(&self, keys: Keys) -> Reader {
        Reader::postgres(&self.open(keys).expect("a database")).expect("a thread")
    }

    fn host(&self) -> Option<Host> {
        self.0.host()
    }

    fn clean_up(&self) {
        self.0.clean_up();
    }

    fn count(&self, table: &str) -> i64 {
        self.0.count(table)
    }

    fn spoil(&self, table: &str, column: &str, rows: &str) {
        self.0.spoil(table, column, rows);
    }

    fn named(&self) -> &'static [&'static str] {
        self.0.named()
    }

    fn misname_alice(&self, tables: &[&str]) -> &'static str {
        self.0.misname_alice(tables)
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.bytes()
    }
}

impl Subject for Shared {
    type Engine = super::Postgres;

    fn open(&self, keys: Keys) -> Result<super::Postgres, String> {
        super::postgres::testing::open(&self.0, keys, 1).map_err(|error| error.to_string())
    }

    fn reader(&self, keys: Keys) -> Reader {
        super::postgres::testing::reader(&self.0, keys, 1)
    }

    fn host(&self) -> Option<Host> {
        Some(super::postgres::testing::host(1).host)
    }

    fn clean_up(&self) {
        self.0.execute("otpd", "VACUUM FULL otpd.enrollment, otpd.rekeyed, otpd.budget");
    }

    fn count(&self, table: &str) -> i64 {
        let count = self.0.sql("otpd", &format!("SELECT count(*) FROM otpd.{table}"));
        count.parse().expect("a number")
    }

    fn spoil(&self, table: &str, column: &str, rows: &str) {
        let update = format!("UPDATE {table} SET {column} = '\\x85' WHERE {rows}");
        self.0.execute("otpd", &format!("SET search_path = otpd; {update}"));
    }

    fn named(&self) -> &'static [&'static str] {
        &["enrollment", "login", "recovery_code", "bypass"]
    }

    fn misname_alice(&self, tables: &[&str]) -> &'static str {
        for table in tables {
            let update = "SET account = 'al/ice' WHERE account = 'alice'";
            let all = format!("UPDATE otpd.{table} {update} RETURNING account");
            assert!(self.0.sql("otpd", &all).contains("al/ice"), "{table}");
        }
        "/al%2Fice"
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.execute("otpd", "CHECKPOINT");
        // What the server itself keeps of a database is the same in all.
        let own = "SELECT pg_relation_filepath(oid) FROM pg_class
                   WHERE oid >= 16384 AND relkind IN ('r', 'i', 't')";
        let files = self.0.sql("otpd", own);
        let read = |file| std::fs::read(self.0.data().join(file)).expect("bytes");
        files.lines().flat_map(read).collect()
    }
}

macro_rules! conformance {
    ($engine:ident, $subject:expr; $($behaviour:path as $name:ident,)*) => {
        mod $engine {
            $(
                #[tokio::test]
                async fn $name() {
                    $behaviour(&$subject).await;
                }
            )*
        }
    };
}

macro_rules! engines {
    ($($behaviour:path as $name:ident,)*) => {
        conformance!(sqlite, super::SqliteFile::new(); $($behaviour as $name,)*);
        conformance!(postgres, super::Shared::new(); $($behaviour as $name,)*);
    };
}

// As administrators' role: what writes enrollments, and what only their hosts delete.
conformance! {
    administrators, super::Divided::new();
    super::behaviours::nothing_is_lost as what_was_answered_survives,
    super::behaviours::no_update_is_lost as no_update_is_lost_among_many,
    super::behaviours::one_batch_sees_itself as a_batch_sees_its_own_decisions,
    super::behaviours::challenges_lead_to_their_account as challenges_lead_to_their_account,
    super::behaviours::accounts_share_a_number as accounts_share_a_numbers_budget,
    super::behaviours::removal as a_removed_number_is_gone,
    super::behaviours::audit_is_whole as events_are_told_after_their_commit,
    super::reads::counts as numbers_and_logins_are_counted,
    super::reads::what_logins_leave as what_logins_leave_is_read,
    super::retention::to_the_millisecond as what_is_old_goes_at_the_millisecond,
    super::retention::an_enrolled_account_keeps_its_row as an_enrolled_account_keeps_its_row,
    super::retention::many_pieces as many_events_go_piece_by_piece,
    super::damaged::what_is_lost_can_be_taken_away as what_is_damaged_can_be_taken_away,
    super::damaged::a_name_that_is_lost as a_damaged_name_is_shown_left_out_and_taken_away,
    super::damaged::a_lost_name_at_a_rotation as a_damaged_name_stops_no_rotation,
    super::rotation::everything_goes_along as another_key_takes_over_everything,
    super::rotation::what_nobody_has_goes as what_is_counted_for_nobody_does_not_go_along,
}

engines! {
    super::behaviours::nothing_is_lost as what_was_answered_survives,
    super::behaviours::no_update_is_lost as no_update_is_lost_among_many,
    super::behaviours::one_batch_sees_itself as a_batch_sees_its_own_decisions,
    super::behaviours::challenges_lead_to_their_account as challenges_lead_to_their_account,
    super::behaviours::accounts_share_a_number as accounts_share_a_numbers_budget,
    super::behaviours::unread_budgets_stay as what_was_not_read_is_not_written,
    super::behaviours::removal as a_removed_number_is_gone,
    super::behaviours::other_keys_are_refused as a_database_of_another_key_is_refused,
    super::behaviours::nothing_is_in_clear as numbers_are_not_in_clear,
    super::behaviours::audit_is_whole as events_are_told_after_their_commit,
    super::reads::counts as numbers_and_logins_are_counted,
    super::reads::lost as codes_of_another_run_are_found,
    super::reads::what_logins_leave as what_logins_leave_is_read,
    super::reads::pages_of_people as people_are_listed_in_pages,
    super::reads::imported as what_was_imported_is_known,
    super::numbers::wrong_codes as wrong_codes_at_their_edges,
    super::numbers::tries as tries_life_and_resends_at_their_edges,
    super::numbers::long_codes as long_codes_at_their_edges,
    super::numbers::messages as messages_at_their_edges,
    super::numbers::live_logins as live_logins_at_their_edges,
    super::attacks::guessing as ten_thousand_guesses_stop_at_the_budget,
    super::attacks::bombing as bombs_stop_to_the_message_and_nobody_else_is_stopped,
    super::attacks::reserves as a_known_source_has_reserves,
    super::attacks::crowds as honest_crowds_trip_nothing,
    super::attacks::leaked as four_leaked_accounts_stop_no_country,
    super::attacks::together as all_together_have_limits,
    super::attacks::pumping as unanswered_messages_raise_an_alarm,
    super::abuse::thousand_an_hour as a_thousand_logins_an_hour_bomb_nobody,
    super::abuse::everybodys_password as bombs_by_everybodys_password_stop_at_the_country,
    super::abuse::one_telephone as one_telephone_of_many_accounts_is_counted_once,
    super::abuse::enrollments as a_flood_of_enrollments_stops_at_the_number_and_at_the_cap,
    super::abuse::locked_out as a_thief_keeps_nobody_out,
    super::abuse::a_thousand_passwords as many_guessed_accounts_bring_eight_digits,
    super::pumping::given_up as pumping_one_range_stops_before_forty_messages,
    super::pumping::one_range as and_touches_no_other_range,
    super::pumping::kept_open as pumping_that_keeps_logins_open_stops_at_the_cap,
    super::stolen::no_code_without_the_key as a_stolen_database_yields_no_code,
    super::stolen::no_number_without_the_key as a_stolen_database_yields_no_number,
    super::retention::to_the_millisecond as what_is_old_goes_at_the_millisecond,
    super::retention::afterwards_as_well as and_after_it,
    super::retention::an_enrolled_account_keeps_its_row as an_enrolled_account_keeps_its_row,
    super::retention::an_opt_out_is_kept as an_opt_out_is_kept_until_it_is_lifted,
    super::retention::a_word_told_again as a_word_told_again_changes_nothing,
    super::retention::nothing_in_doubt as nothing_goes_while_the_clock_is_in_doubt,
    super::retention::nothing_when_the_clock_went_back as nor_after_it_went_back,
    super::retention::a_clock_that_was_ahead as events_of_a_clock_that_was_ahead_keep_no_others,
    super::retention::many_pieces as many_events_go_piece_by_piece,
    super::snapshots::whole as a_snapshot_has_everything_as_it_was,
    super::snapshots::a_trail_in_front as a_trail_is_put_in_front_of_a_newer_one_once,
    super::snapshots::a_trail_into_an_empty_one as a_trail_is_put_into_an_empty_one,
    super::rotation::everything_goes_along as another_key_takes_over_everything,
    super::rotation::a_backup_brings_earlier_keys as a_backup_brings_keys_from_before,
    super::damaged::a_crowd as damaged_accounts_are_refused_and_nobody_beside_them,
    super::damaged::what_is_lost_can_be_taken_away as what_is_damaged_can_be_taken_away,
    super::damaged::what_is_sound_is_found as what_is_damaged_is_named_and_all_else_is_read,
    super::damaged::a_name_that_is_lost as a_damaged_name_is_shown_left_out_and_taken_away,
    super::damaged::a_lost_name_at_a_rotation as a_damaged_name_stops_no_rotation,
    super::damaged::what_is_of_all as damaged_sums_of_all_stop_no_decision,
    super::damaged::upkeep as what_is_damaged_keeps_no_upkeep_from_the_rest,
    super::rotation::what_nobody_has_goes as what_is_counted_for_nobody_does_not_go_along,
    super::rotation::nothing_is_read_by_the_key_from_before as nothing_is_read_by_the_key_from_before,
    super::rotation::nothing_by_the_key_from_before as nothing_is_written_by_the_key_from_before,
    super::rotation::no_trace_of_the_key_from_before as files_keep_nothing_of_the_key_from_before,
    super::faults::poison as a_panic_fails_alone,
    super::faults::lost_commit as a_commit_that_surely_failed_is_run_again,
    super::faults::full_disk as a_full_disk_is_relieved_once,
    super::faults::upkeep_again as upkeep_that_surely_failed_is_done_again_once,
    super::faults::doubtful_commit as a_doubtful_commit_is_answered_as_such_and_never_run_again,
    super::faults::failing_load as a_store_that_fails_denies_and_recovers,
    super::faults::failing_for_all as a_store_that_fails_for_all_is_not_asked_for_each,
    super::faults::timing as what_is_committed_is_measured,
    super::faults::signs_of_life as a_store_that_fails_lives_and_one_that_hangs_says_nothing,
    super::faults::signs_of_a_long_life as a_store_that_goes_over_to_another_key_lives,
    super::faults::full_queue as a_full_queue_refuses_at_once,
    super::faults::waited_too_long as what_waited_too_long_is_not_decided,
    super::faults::begun_without_end as what_began_and_does_not_end_is_in_doubt,
    super::faults::abandoned as what_nobody_waits_for_is_not_decided,
}
