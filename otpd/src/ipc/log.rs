//! `Admin.Log` and `Admin.Watch`: the audit trail, a row a reply, at the pace of whoever reads.

use std::{sync::Arc, time::Duration};

use otp_proto::{
    admin::{self as wire, AdminError},
    envelope::Call,
    service::ServiceError,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{
    connection::{Connection, Done, Over},
    permit::{Right, Target},
    wire::{Fault, record},
};
use crate::{
    domain::{account::Account, time::Timestamp},
    store::Trail,
    verifier::{Position, Verifier},
};

/// How long what another host's daemon commits may take to be told here.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// Callers of `Watch` at once.
const WATCHERS: usize = 16;

/// The seats of those who watch; cheap to clone.
#[derive(Clone)]
pub(super) struct Watchers(Arc<Semaphore>);

impl Default for Watchers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WATCHERS)))
    }
}

impl Watchers {
    fn take(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            let reason = format!(
                "{WATCHERS} callers watch already, which is all there may be; end one of them \
                 (otpctl log --follow)"
            );
            AdminError::Refused { reason }.into()
        })
    }
}

fn invalid(parameter: &str) -> Fault {
    Fault::Service(ServiceError::InvalidParameter { parameter: parameter.to_owned() })
}

fn account(user: Option<&str>) -> Result<Option<Account>, Fault> {
    user.map(Account::new).transpose().map_err(|_| invalid("user"))
}

impl Connection {
    /// `Log`: the rows that there are now.
    pub(super) async fn log(&mut self, call: &Call<'_>) -> Done {
        let Some(request) = self.parameters(call.parameters).await? else { return Ok(()) };
        let (verifier, mut position) = match self.begin_log(request, call.more).await {
            Ok(begun) => begun,
            Err(fault) => return self.fault(fault).await,
        };
        loop {
            match verifier.next_events(&mut position).await {
                Ok(page) if page.is_empty() => {
                    return self.reply(&wire::Logged { record: None }, false).await;
                }
                Ok(page) => {
                    for row in page {
                        let record = Some(record(row));
                        self.reply_patiently(&wire::Logged { record }).await?;
                    }
                }
                Err(error) => return self.fault(error.into()).await,
            }
        }
    }

    /// `Watch`: goes on until the peer leaves or the daemon stops.
    pub(super) async fn watch(&mut self, call: &Call<'_>) -> Done {
        let Some(request) = self.parameters(call.parameters).await? else { return Ok(()) };
        let (verifier, mut position, _seat) = match self.begin_watch(request, call.more).await {
            Ok(begun) => begun,
            Err(fault) => return self.fault(fault).await,
        };
        let mut news = verifier.news();
        loop {
            // Before the read: what is committed while a page is read is news again.
            news.mark_unchanged();
            match verifier.next_events(&mut position).await {
                Ok(page) if page.is_empty() => {
                    if !self.await_news(&mut news, verifier.shares_store()).await? {
                        return Ok(());
                    }
                }
                Ok(page) => {
                    for row in page {
                        self.reply_patiently(&wire::Watched { record: record(row) }).await?;
                    }
                }
                Err(error) => return self.fault(error.into()).await,
            }
        }
    }

    /// Waits for the next commit, or until it is worth a look whether other daemons have made one;
    /// false when there will be none for this peer, because the daemon stops.
    async fn await_news(
        &mut self,
        news: &mut watch::Receiver<()>,
        shared: bool,
    ) -> Result<bool, Over> {
        let mut stop = self.common.stop.clone();
        tokio::select! {
            () = stop.requested() => Ok(false),
            changed = news.changed() => Ok(changed.is_ok()),
            () = tokio::time::sleep(ELSEWHERE), if shared => Ok(true),
            read = self.read() => Err(match read {
                Ok(true) => Over::Rules("nothing can be asked during Watch"),
                Ok(false) => Over::Rules("the peer has left"),
                Err(error) => error.into(),
            }),
        }
    }

    pub(super) async fn fault(&mut self, fault: Fault) -> Done {
        match fault {
            Fault::Service(error) => self.error(&error).await,
            Fault::Admin(error) => self.error(&error).await,
        }
    }

    async fn begin_log(
        &mut self,
        request: wire::Log,
        more: bool,
    ) -> Result<(Arc<Verifier>, Position), Fault> {
        let verifier = self.reader(more).await?;
        let number = request.request.as_deref().map(str::parse).transpose();
        let trail = Trail {
            account: account(request.user.as_deref())?,
            since: request.since.map(Timestamp),
            request: number.map_err(|_| invalid("request"))?,
        };
        let position = verifier.events(trail, request.limit).await?;
        Ok((verifier, position))
    }

    async fn begin_watch(
        &mut self,
        request: wire::Watch,
        more: bool,
    ) -> Result<(Arc<Verifier>, Position, OwnedSemaphorePermit), Fault> {
        let verifier = self.reader(more).await?;
        let account = account(request.user.as_deref())?;
        let seat = self.common.watchers.take()?;
        let trail = Trail { account, ..Trail::default() };
        let position = verifier.coming_events(trail, request.after).await?;
        Ok((verifier, position, seat))
    }

    /// The verifier, for whoever may read the trail and takes more than one reply.
    async fn reader(&mut self, more: bool) -> Result<Arc<Verifier>, Fault> {
        let verifier = self.verifier()?;
        if !self.may(&verifier, Right::Administer, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        if more { Ok(verifier) } else { Err(Fault::Service(ServiceError::ExpectedMore {})) }
    }
}
