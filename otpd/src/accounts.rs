//! The host's accounts and groups, as NSS gives them.
//!
//! NSS may ask a directory server, and may hang. So it is asked on threads of its own, a question
//! waits two seconds at most, and what nobody waits for any more is not asked. It begins with one
//! thread; one more, up to eight, comes with a question that finds no more threads free than
//! questions waiting, and stays. So whoever is in the host's own files is found while the directory
//! is silent about up to seven others. While eight lookups hang, every question fails after its two
//! seconds, and at once when too many wait.

use std::{
    ffi::CString,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::{domain::account::Account, threads};

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Questions that may wait: one for every connection, so that a burst of logins is no failure of NSS.
const QUEUE: usize = 512;
/// Threads that ask: so many lookups may hang at once.
const THREADS: usize = 8;

/// An account that NSS knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// By the name that NSS returns, whatever name was asked for.
    pub account: Account,
    /// Its uid.
    pub uid: u32,
    gid: u32,
}

impl Identity {
    /// An account that NSS does not know any more: of no uid and in no group.
    #[must_use]
    pub fn deleted(account: Account) -> Self {
        Self { account, uid: u32::MAX, gid: u32::MAX }
    }
}

/// NSS did not answer, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account database (NSS) does not answer")]
pub struct Unreachable;

type Question = Box<dyn FnOnce() + Send>;

/// The way to NSS; cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    queue: mpsc::Sender<Question>,
    crew: Arc<Crew>,
}

/// Who asks.
struct Crew {
    questions: Mutex<mpsc::Receiver<Question>>,
    /// Threads that wait for a question.
    free: AtomicUsize,
    threads: AtomicUsize,
}

impl Crew {
    /// Adds a thread, if there may be one more.
    fn grow(self: &Arc<Self>) -> io::Result<()> {
        let more = |threads| (threads < THREADS).then_some(threads + 1);
        if self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            return Ok(());
        }
        let crew = Arc::clone(self);
        let ask = move || {
            while let Some(question) = crew.next() {
                question();
            }
        };
        threads::spawn("nss", ask).map(drop).inspect_err(|_| {
            self.threads.fetch_sub(1, Ordering::AcqRel);
        })
    }

    /// The next question, for the thread whose turn it is.
    fn next(&self) -> Option<Question> {
        self.free.fetch_add(1, Ordering::AcqRel);
        let next = self.questions.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        self.free.fetch_sub(1, Ordering::AcqRel);
        next
    }
}

impl Accounts {
    /// Starts the thread that asks.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let (queue, questions) = mpsc::channel::<Question>(QUEUE);
        let (free, threads) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let crew = Arc::new(Crew { questions: Mutex::new(questions), free, threads });
        crew.grow()?;
        Ok(Self { queue, crew })
    }

    /// The account of this name; `None` when there is none.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn by_name(&self, name: String) -> Result<Option<Identity>, Unreachable> {
        self.ask(move || User::from_name(&name).map(|user| user.as_ref().and_then(identity))).await
    }

    /// The account of this uid; `None` when there is none.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn by_uid(&self, uid: u32) -> Result<Option<Identity>, Unreachable> {
        let uid = Uid::from_raw(uid);
        self.ask(move || User::from_uid(uid).map(|user| user.as_ref().and_then(identity))).await
    }

    /// The names of the account's groups; those without a name are left out.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn groups(&self, identity: &Identity) -> Result<Vec<String>, Unreachable> {
        let (account, gid) = (identity.account.clone(), Gid::from_raw(identity.gid));
        self.ask(move || {
            let name = CString::new(account.as_str()).map_err(|_| nix::Error::EINVAL)?;
            let mut names = Vec::new();
            for gid in getgrouplist(&name, gid)? {
                names.extend(Group::from_gid(gid)?.map(|group| group.name));
            }
            Ok(names)
        })
        .await
    }

    /// The name of a group; `None` when there is none.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn group(&self, gid: u32) -> Result<Option<String>, Unreachable> {
        self.ask(move || Ok(Group::from_gid(Gid::from_raw(gid))?.map(|group| group.name))).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> nix::Result<T> + Send + 'static,
    ) -> Result<T, Unreachable> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move || {
            if !reply.is_closed() {
                // The one who asked may have given up meanwhile.
                let _ = reply.send(question());
            }
        });
        self.queue.try_send(job).map_err(|_| Unreachable)?;
        let waiting = self.queue.max_capacity() - self.queue.capacity();
        // One to spare: a thread counts as free for a moment when it has a question already.
        if waiting >= self.crew.free.load(Ordering::Acquire)
            && let Err(error) = self.crew.grow()
        {
            warn!(%error, "no further thread asks NSS");
        }
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(error))) => {
                warn!(%error, "NSS failed");
                Err(Unreachable)
            }
            Ok(Err(_)) | Err(_) => {
                warn!("NSS did not answer within {} s", PATIENCE.as_secs());
                Err(Unreachable)
            }
        }
    }
}

fn identity(user: &User) -> Option<Identity> {
    let account = Account::new(&user.name).ok()?;
    Some(Identity { account, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{Accounts, THREADS, Unreachable};

    #[tokio::test]
    async fn root_is_found_by_name_and_by_uid() {
        let accounts = Accounts::start().unwrap();
        let root = accounts.by_name("root".into()).await.unwrap().expect("every host has root");
        assert_eq!(root.uid, 0);
        assert_eq!(accounts.by_uid(0).await.unwrap(), Some(root.clone()));
        assert!(accounts.groups(&root).await.unwrap().contains(&"root".to_owned()));
    }

    #[tokio::test]
    async fn an_unknown_name_is_an_answer() {
        let accounts = Accounts::start().unwrap();
        assert_eq!(accounts.by_name("no-such-account-here".into()).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_directory_costs_two_seconds_and_no_more() {
        let accounts = Accounts::start().unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let hanging = accounts.ask(move || {
            let _ = held.recv();
            Ok(())
        });
        assert_eq!(hanging.await, Err(Unreachable));
        drop(release);
    }

    #[tokio::test]
    async fn lookups_that_hang_hold_nobody_else_up() {
        let accounts = Accounts::start().unwrap();
        let mut held = Vec::new();
        for _ in 1..THREADS {
            let (release, hang) = std::sync::mpsc::channel::<()>();
            let (tell, begun) = tokio::sync::oneshot::channel();
            let asking = accounts.clone();
            let hanging = tokio::spawn(async move {
                let hang = move || {
                    let _ = tell.send(());
                    let _ = hang.recv();
                    Ok(())
                };
                asking.ask(hang).await
            });
            begun.await.expect("a thread has it");
            held.push((release, hanging));
        }
        assert!(accounts.by_name("root".into()).await.expect("an answer").is_some());
        for (release, hanging) in held {
            drop(release);
            let _ = hanging.await.expect("an end");
        }
        assert!(accounts.crew.threads.load(Ordering::Acquire) <= THREADS);
    }
}
