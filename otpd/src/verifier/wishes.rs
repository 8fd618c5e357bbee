//! What people wrote to a sender while the store was busy: it is tried again for a while. The vendor has
//! its answer by then, and says it no second time.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::error;

use crate::{
    domain::{
        enrollment::NumberIndex,
        opt_out::{REMEMBERED, Said},
    },
    store::StoreError,
};

/// How long is waited before each further try.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
];
/// Numbers whose wishes wait, each in a task of its own: anybody with a telephone can bring one.
const WAITING: usize = 64;
/// Words of a number that wait at once. All that the store remembers may be told again meanwhile, by
/// whomever, and must push none out that it has not heard.
const WORDS: usize = 2 * REMEMBERED;

/// What somebody wrote to senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// The number that it came from.
    pub(super) number: NumberIndex,
    /// The number's last two digits.
    pub(super) ending: String,
    /// The newest last. Which of them the store has heard before, and which one counts, is decided
    /// when it has the time.
    pub(super) words: Vec<Said>,
}

impl Heard {
    /// Adds what was heard after it, but for words that wait already.
    fn add(&mut self, later: &Self) {
        for said in &later.words {
            if !self.words.iter().any(|own| own.mark.is_of(&said.mark)) {
                self.words.push(said.clone());
            }
        }
        let surplus = self.words.len().saturating_sub(WORDS);
        self.words.drain(..surplus);
    }
}

/// The words of each number for which the store had no time.
#[derive(Clone, Default)]
pub(super) struct Wishes(Arc<Mutex<HashMap<NumberIndex, Heard>>>);

impl Wishes {
    fn table(&self) -> MutexGuard<'_, HashMap<NumberIndex, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a word behind those of its number that wait, so that START after STOP is never undone by
    /// that; whether any wait.
    pub(super) fn join(&self, heard: &Heard) -> bool {
        let mut table = self.table();
        let Some(waiting) = table.get_mut(&heard.number) else { return false };
        waiting.add(heard);
        true
    }

    /// Has what was not recorded for `error` recorded later, by `record`.
    pub(super) fn keep<F, R>(&self, heard: Heard, error: StoreError, record: F)
    where
        F: Fn(Heard) -> R + Send + 'static,
        R: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let number = heard.number;
        if !may_be_tried_again(error) {
            lost(&heard, error);
            return;
        }
        let mut table = self.table();
        let full = table.len() >= WAITING;
        match table.entry(number) {
            Entry::Occupied(mut waiting) => waiting.get_mut().add(&heard),
            Entry::Vacant(_) if full => lost(&heard, error),
            Entry::Vacant(place) => {
                place.insert(heard);
                tokio::spawn(self.clone().try_again(number, record));
            }
        }
    }

    async fn try_again<F, R>(self, number: NumberIndex, record: F)
    where
        F: Fn(Heard) -> R,
        R: Future<Output = Result<(), StoreError>>,
    {
        let mut why = StoreError::Unavailable;
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            let Some(heard) = self.table().get(&number).cloned() else { return };
            match record(heard.clone()).await {
                Ok(()) => {}
                Err(error) if may_be_tried_again(error) => {
                    why = error;
                    continue;
                }
                Err(error) => lost(&heard, error),
            }
            if self.leave(&heard) {
                return;
            }
        }
        let given_up = self.table().remove(&number);
        if let Some(heard) = given_up {
            lost(&heard, why);
        }
    }

    /// Gives up what waits, as the daemon ends; how many words of each sender's those were.
    pub(super) fn give_up(&self) -> BTreeMap<String, usize> {
        let mut words = BTreeMap::new();
        for said in std::mem::take(&mut *self.table()).into_values().flat_map(|heard| heard.words) {
            *words.entry(said.gateway).or_default() += 1;
        }
        words
    }

    /// Whether this was the newest, so that nothing waits any more.
    fn leave(&self, heard: &Heard) -> bool {
        let mut table = self.table();
        let newest = table.get(&heard.number) == Some(heard);
        if newest {
            table.remove(&heard.number);
        }
        newest
    }
}

/// Only what was surely not written.
const fn may_be_tried_again(error: StoreError) -> bool {
    match error {
        StoreError::Unavailable | StoreError::Full | StoreError::Moving => true,
        StoreError::Unknown
        | StoreError::Forbidden
        | StoreError::Damaged(_)
        | StoreError::Corrupt => false,
    }
}

/// The vendor knows, and says so when it is asked to send.
fn lost(heard: &Heard, error: StoreError) {
    let ending = &heard.ending;
    for Said { gateway, wish, .. } in &heard.words {
        error!(%error, gateway, ending, ?wish, "what somebody asked of a sender was not recorded");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use tokio::time::Instant;

    use super::{Heard, WAITING, WORDS, Wishes};
    use crate::{
        domain::{
            enrollment::NumberIndex,
            opt_out::{Said, Wish, WordMark},
        },
        store::StoreError::{self, Full, Unavailable, Unknown},
    };

    type Answer = Result<(), StoreError>;

    fn heard(number: u8, wish: Wish) -> Heard {
        said(number, wish, wish as u8)
    }

    fn said(number: u8, wish: Wish, nth: u8) -> Heard {
        let gateway = "telnyx".to_owned();
        let mark = WordMark::new(&gateway, &[nth; 32], None);
        let words = vec![Said { mark, wish, gateway }];
        Heard { number: NumberIndex([number; 16]), ending: "42".to_owned(), words }
    }

    /// A store that answers like this, and then well; when it was asked, and what for.
    #[derive(Clone)]
    struct Script {
        answers: Arc<Mutex<VecDeque<Answer>>>,
        asked: Arc<Mutex<Vec<(u64, Wish)>>>,
        begun: Instant,
    }

    impl Script {
        fn new(answers: &[Answer]) -> Self {
            let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
            Self { answers, asked: Arc::default(), begun: Instant::now() }
        }

        fn record(&self) -> impl Fn(Heard) -> std::future::Ready<Answer> + Send + 'static {
            let script = self.clone();
            move |heard| {
                let at = script.begun.elapsed().as_secs();
                let newest = heard.words.last().expect("a word");
                script.asked.lock().unwrap().push((at, newest.wish));
                std::future::ready(script.answers.lock().unwrap().pop_front().unwrap_or(Ok(())))
            }
        }

        fn asked(&self) -> Vec<(u64, Wish)> {
            self.asked.lock().unwrap().clone()
        }
    }

    /// Time is paused: it passes when nothing else is left to do.
    async fn settle(wishes: &Wishes) {
        while !wishes.table().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_surely_not_written_is_tried_again_for_a_while() {
        let no = Err(Unavailable);
        let cases: [(&str, StoreError, Vec<Answer>, Vec<u64>); 5] = [
            ("busy once", Unavailable, vec![], vec![1]),
            ("busy, then full", Unavailable, vec![no, Err(Full)], vec![1, 6, 21]),
            ("for good", Full, vec![no; 9], vec![1, 6, 21, 81]),
            ("perhaps written", Unknown, vec![], vec![]),
            ("perhaps written later", Unavailable, vec![Err(Unknown)], vec![1]),
        ];
        for (name, first, answers, expected) in cases {
            let (wishes, script) = (Wishes::default(), Script::new(&answers));
            wishes.keep(heard(1, Wish::Stop), first, script.record());
            settle(&wishes).await;
            let at: Vec<_> = script.asked().into_iter().map(|(at, _)| at).collect();
            assert_eq!(at, expected, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_wish_of_a_number_counts() {
        let (wishes, script) = (Wishes::default(), Script::new(&[Err(Unavailable)]));
        assert!(!wishes.join(&heard(1, Wish::Stop)), "nothing waits");
        wishes.keep(heard(1, Wish::Stop), Unavailable, script.record());
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert!(!wishes.join(&heard(2, Wish::Start)), "another number's");
        assert!(wishes.join(&heard(1, Wish::Start)));
        // The first one told once more, by whomever.
        assert!(wishes.join(&heard(1, Wish::Stop)));
        assert_eq!(wishes.table()[&NumberIndex([1; 16])].words.len(), 2, "both wait");
        settle(&wishes).await;
        assert_eq!(script.asked(), [(1, Wish::Stop), (6, Wish::Start)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_may_know_pushes_no_word_out() {
        let (wishes, script) = (Wishes::default(), Script::new(&[]));
        let number = NumberIndex([1; 16]);
        wishes.keep(said(1, Wish::Start, 100), Unavailable, script.record());
        for nth in 0..8 {
            assert!(wishes.join(&said(1, Wish::Stop, nth)), "played again");
        }
        let words = wishes.table()[&number].words.clone();
        assert_eq!((words.len(), words[0].wish), (9, Wish::Start));
        for nth in 8..50 {
            wishes.join(&said(1, Wish::Stop, nth));
        }
        assert_eq!(wishes.table()[&number].words.len(), WORDS, "and there is an end to it");
        settle(&wishes).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_as_the_daemon_ends_is_counted_and_never_recorded() {
        let (wishes, script) = (Wishes::default(), Script::new(&[]));
        assert!(wishes.give_up().is_empty());
        wishes.keep(heard(1, Wish::Stop), Unavailable, script.record());
        wishes.keep(heard(2, Wish::Stop), Unavailable, script.record());
        assert!(wishes.join(&heard(1, Wish::Start)));
        assert_eq!(wishes.give_up(), [("telnyx".to_owned(), 3)].into());
        tokio::time::sleep(std::time::Duration::from_mins(2)).await;
        assert!(script.asked().is_empty() && wishes.give_up().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_so_many_wait() {
        let (wishes, script) = (Wishes::default(), Script::new(&[]));
        for number in 0..=u8::try_from(WAITING).expect("few") {
            wishes.keep(heard(number, Wish::Stop), Unavailable, script.record());
        }
        settle(&wishes).await;
        assert_eq!(script.asked().len(), WAITING);
    }
}
