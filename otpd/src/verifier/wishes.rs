//! What people wrote to a sender while the store was busy: it is tried again for a while. The vendor has
//! its answer by then, and says it no second time.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::error;

use crate::{
    domain::{
        enrollment::NumberIndex,
        opt_out::{Wish, WordMark},
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
/// Words of a number that are remembered while it waits.
const MARKS: usize = 8;

/// What somebody wrote to a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// The number that it came from.
    pub(super) number: NumberIndex,
    /// The number's last two digits.
    pub(super) ending: String,
    /// The gateway that was told.
    pub(super) gateway: String,
    /// What is wanted.
    pub(super) wish: Wish,
    /// By what it is known again; before it those that it took the place of.
    pub(super) marks: Vec<WordMark>,
}

impl Heard {
    /// Becomes what was heard after it, and remembers what it was.
    fn give_way(&mut self, later: &Self) {
        let known = |mark: &WordMark| self.marks.iter().any(|own| own.is_of(mark));
        if later.marks.iter().all(known) {
            return;
        }
        let mut marks = std::mem::take(&mut self.marks);
        marks.extend(&later.marks);
        // The store keeps no more either.
        let surplus = marks.len().saturating_sub(MARKS);
        marks.drain(..surplus);
        *self = Self { marks, ..later.clone() };
    }
}

/// The newest wish of each number for which the store had no time.
#[derive(Clone, Default)]
pub(super) struct Wishes(Arc<Mutex<HashMap<NumberIndex, Heard>>>);

impl Wishes {
    fn table(&self) -> MutexGuard<'_, HashMap<NumberIndex, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of a wish that waits, so that START after STOP is never undone by it; whether one
    /// did. One that waits, or waited and was replaced, is not heard again.
    pub(super) fn replace(&self, heard: &Heard) -> bool {
        let mut table = self.table();
        let Some(waiting) = table.get_mut(&heard.number) else { return false };
        waiting.give_way(heard);
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
            Entry::Occupied(mut waiting) => waiting.get_mut().give_way(&heard),
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
        StoreError::Unavailable | StoreError::Full => true,
        StoreError::Unknown => false,
    }
}

/// The vendor knows, and says so when it is asked to send.
fn lost(heard: &Heard, error: StoreError) {
    let Heard { gateway, wish, ending, .. } = heard;
    error!(%error, gateway, ending, ?wish, "what somebody asked of a sender was not recorded");
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use tokio::time::Instant;

    use super::{Heard, WAITING, Wishes};
    use crate::{
        domain::{
            enrollment::NumberIndex,
            opt_out::{Wish, WordMark},
        },
        store::StoreError::{self, Full, Unavailable, Unknown},
    };

    type Answer = Result<(), StoreError>;

    fn heard(number: u8, wish: Wish) -> Heard {
        let (ending, gateway) = ("42".to_owned(), "telnyx".to_owned());
        let marks = vec![WordMark::new(&gateway, &[wish as u8; 32], None)];
        Heard { number: NumberIndex([number; 16]), ending, gateway, wish, marks }
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
                script.asked.lock().unwrap().push((at, heard.wish));
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
        assert!(!wishes.replace(&heard(1, Wish::Stop)), "nothing waits");
        wishes.keep(heard(1, Wish::Stop), Unavailable, script.record());
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert!(!wishes.replace(&heard(2, Wish::Start)), "another number's");
        assert!(wishes.replace(&heard(1, Wish::Start)));
        // The first one told once more, by whomever.
        assert!(wishes.replace(&heard(1, Wish::Stop)));
        assert_eq!(wishes.table()[&NumberIndex([1; 16])].marks.len(), 2, "both are remembered");
        settle(&wishes).await;
        assert_eq!(script.asked(), [(1, Wish::Stop), (6, Wish::Start)]);
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
