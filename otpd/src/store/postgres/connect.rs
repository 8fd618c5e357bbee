//! The way to the server that can be written to.

use std::{
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_postgres::{
    CancelToken, Config, NoTls,
    config::SslMode,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::warn;

use super::{
    PostgresSettings, Server,
    memory::Memory,
    session::{Identity, Purpose, Session},
    trouble::Trouble,
};
use crate::store::Rekeyed;

/// How long a server may take to let otpd in.
const REACH: Duration = Duration::from_secs(3);
/// The oldest PostgreSQL that serves.
const OLDEST: u32 = 15;
/// After this time of silence the system asks whether a server is still there.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a server may take to acknowledge what it was sent.
const ACKNOWLEDGE: Duration = Duration::from_secs(10);

/// What every connection of this daemon is made by; cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    settings: Arc<PostgresSettings>,
    tls: Option<MakeRustlsConnect>,
    /// The newest timeline that was seen. A server on an older one was a primary before a failover:
    /// it lacks what was committed since, and would hand out tries and codes twice.
    timeline: Arc<AtomicU32>,
    /// The database as it was opened.
    identity: Arc<OnceLock<Identity>>,
    /// What the next start is to know.
    memory: Memory,
    /// It went over to another key since.
    pub(super) rekeyed: Rekeyed,
}

impl Connector {
    /// Reads the certificates that servers are judged by.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(super) fn new(settings: PostgresSettings) -> Result<Self, String> {
        Self::with_memory(settings, Memory::default())
    }

    /// The same, with what an earlier run has kept.
    ///
    /// # Errors
    /// What is wrong with the certificates, in words.
    pub(super) fn with_memory(settings: PostgresSettings, memory: Memory) -> Result<Self, String> {
        let over_tcp = settings.servers.iter().any(|server| matches!(server, Server::Tcp { .. }));
        let tls = over_tcp.then(|| tls(&settings)).transpose()?;
        Ok(Self {
            settings: settings.into(),
            tls,
            timeline: Arc::default(),
            identity: Arc::default(),
            memory,
            rekeyed: Rekeyed::default(),
        })
    }

    pub(super) fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    /// A connection to the server that can be written to: where several can, to that of the newest
    /// timeline.
    pub(super) async fn connect(&self) -> Result<Session, Trouble> {
        // All are asked at once: a fleet must not wait for one dead server after another.
        let mut asked = tokio::task::JoinSet::new();
        for (place, server) in self.settings.servers.iter().enumerate() {
            let (connector, server) = (self.clone(), server.clone());
            asked.spawn(async move {
                let answers = connector.answers(&server).await;
                answers
                    .into_iter()
                    .map(|answer| (place, server.clone(), answer))
                    .collect::<Vec<_>>()
            });
        }
        let mut answers = Vec::new();
        while let Some(answered) = asked.join_next().await {
            let failed = |_| Trouble::Nonsense("a connection could not be made");
            answers.extend(answered.map_err(failed)?);
        }
        let (mut best, mut refused) = (None::<(usize, Server, Session)>, Vec::new());
        for (place, server, answer) in answers {
            let session =
                match answer.and_then(|session| self.recognize(&session).map(|()| session)) {
                    Ok(session) => session,
                    Err(trouble) => {
                        refused.push((place, server, trouble));
                        continue;
                    }
                };
            let (newer, older) = match best.take() {
                None => ((place, server, session), None),
                Some(other) => {
                    // The newest, and of two names for one server that which stands first.
                    let this = (place, server, session);
                    let rank = |(place, _, session): &(usize, Server, Session)| {
                        (session.timeline(), usize::MAX - place)
                    };
                    if rank(&this) > rank(&other) {
                        (this, Some(other))
                    } else {
                        (other, Some(this))
                    }
                }
            };
            if let Some((_, server, session)) = older
                && session.timeline() < newer.2.timeline()
            {
                let timeline = session.timeline();
                warn!(
                    %server, timeline,
                    "two servers take changes: this one was a primary before a failover; stop it"
                );
            }
            best = Some(newer);
        }
        if let Some((_, _, session)) = best {
            self.admit(&session)?;
            return Ok(session);
        }
        // The one whose answer says the most: a standby that answers is as it should be, and of many
        // addresses some may be of no use here.
        let telling = |(place, _, trouble): &(usize, Server, Trouble)| match trouble {
            Trouble::Standby => (2, *place),
            Trouble::Unreachable(_) | Trouble::Late(_) => (1, *place),
            _ => (0, *place),
        };
        let Some((_, server, trouble)) = refused.into_iter().min_by_key(telling) else {
            return Err(Trouble::Nonsense("no server is named"));
        };
        if self.settings.servers.len() > 1 {
            tracing::debug!(%server, "the first of the servers that cannot be used");
        }
        Err(trouble)
    }

    /// Refuses another database than the one that was opened, a server that is behind one that was seen
    /// before, and a database that went over to other keys.
    pub(super) fn accept(&self, session: &Session) -> Result<(), Trouble> {
        self.admit(session)?;
        match (session.identity(), self.identity.get()) {
            (Some(found), Some(known)) if found.keys != known.keys => {
                self.rekeyed.set();
                Err(Trouble::Rekeyed)
            }
            // One that has lost what it is known by is none that anybody knows.
            (None, Some(_)) => Err(Trouble::OtherDatabase),
            _ => Ok(()),
        }
    }

    /// The same but for its keys.
    fn admit(&self, session: &Session) -> Result<(), Trouble> {
        self.recognize(session)?;
        let found = session.timeline();
        let (known, own) = match (session.identity(), self.identity.get()) {
            (Some(_), Some(own)) => (self.timeline.fetch_max(found, Ordering::AcqRel), Some(own)),
            // It may be any: what it says of a failover is not to be believed of this one.
            _ => (self.timeline.load(Ordering::Acquire), None),
        };
        if found < known {
            return Err(Trouble::Outdated { found, known });
        }
        if let Some(own) = own.filter(|_| found > known) {
            self.memory.keep(&own.database, found);
        }
        Ok(())
    }

    /// Refuses another database, whatever its timeline is: it must not outdo the right one.
    fn recognize(&self, session: &Session) -> Result<(), Trouble> {
        match (session.identity(), self.identity.get()) {
            (Some(found), Some(known)) if found.database != known.database => {
                Err(Trouble::OtherDatabase)
            }
            _ => Ok(()),
        }
    }

    /// Refuses a database that is behind what an earlier run has seen of it. In a transaction.
    pub(super) fn recall(&self, database: &str, session: &Session) -> Result<(), Trouble> {
        let (found, known) = (session.timeline(), self.memory.recall(database));
        if found < known {
            return Err(Trouble::Forgotten { found, known, place: self.memory.place() });
        }
        self.timeline.fetch_max(known, Ordering::AcqRel);
        Ok(())
    }

    /// Goes by this database, in the transaction under way, from now on.
    pub(super) fn settle_on(&self, session: &Session) {
        if let Some(identity) = session.identity() {
            let _ = self.identity.set(identity.clone());
            self.timeline.fetch_max(session.timeline(), Ordering::AcqRel);
            self.memory.keep(&identity.database, session.timeline());
        }
    }

    /// What is found at each address of a server: a name may have several, of which one serves.
    async fn answers(&self, server: &Server) -> Vec<Result<Session, Trouble>> {
        let ways = match timeout(REACH, ways(server)).await.unwrap_or(Err(Trouble::Late(REACH))) {
            Ok(ways) => ways,
            Err(trouble) => return vec![Err(trouble)],
        };
        let mut asked = tokio::task::JoinSet::new();
        for way in ways {
            let connector = self.clone();
            asked.spawn(async move {
                timeout(REACH, connector.reach(way)).await.unwrap_or(Err(Trouble::Late(REACH)))
            });
        }
        asked.join_all().await
    }

    /// Has a server end what a connection of ours waits for.
    pub(super) async fn cancel(&self, way: Way, token: CancelToken) -> Result<(), Trouble> {
        let cancelled = async {
            match &way {
                Way::Tcp { name, address } => {
                    let (stream, tls) = self.dial(name, *address).await?;
                    token.cancel_query_raw(stream, tls).await?;
                }
                Way::Socket(path) => {
                    let stream = UnixStream::connect(path).await.map_err(Trouble::Unreachable)?;
                    token.cancel_query_raw(stream, NoTls).await?;
                }
            }
            Ok::<_, Trouble>(())
        };
        timeout(REACH, cancelled).await.unwrap_or(Err(Trouble::Late(REACH)))
    }

    async fn reach(&self, way: Way) -> Result<Session, Trouble> {
        match &way {
            Way::Tcp { name, address } => {
                let (stream, tls) = self.dial(name, *address).await?;
                self.enter(stream, tls, SslMode::Require, way).await
            }
            Way::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(Trouble::Unreachable)?;
                known(path, &stream)?;
                self.enter(stream, NoTls, SslMode::Disable, way).await
            }
        }
    }

    async fn dial(&self, name: &str, address: SocketAddr) -> Result<(TcpStream, Tls), Trouble> {
        let stream = TcpStream::connect(address).await.map_err(Trouble::Unreachable)?;
        watched(&stream).map_err(Trouble::Unreachable)?;
        let Some(mut tls) = self.tls.clone() else {
            return Err(Trouble::Nonsense("TLS was not set up"));
        };
        let Ok(tls) = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, name);
        Ok((stream, tls))
    }

    async fn enter<S, T>(
        &self,
        stream: S,
        tls: T,
        mode: SslMode,
        way: Way,
    ) -> Result<Session, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: TlsConnect<S>,
        T::Stream: Send + 'static,
    {
        let mut config = Config::new();
        config
            .user(&self.settings.user)
            .dbname(&self.settings.database)
            .application_name("otpd")
            .ssl_mode(mode);
        if let Some(password) = &self.settings.password {
            config.password(password.expose());
        }
        let (client, connection) = config.connect_raw(stream, tls).await?;
        fits(connection.parameter("server_version"), connection.parameter("server_encoding"))?;
        let driver = tokio::spawn(async move {
            // How it ended is told to whoever waits for an answer.
            let _ = connection.await;
        });
        let mut session = Session::new(client, way, driver).await?;
        // Before it is compared with others: a newer one may be of another database.
        if self.identity.get().is_some() {
            session.begin(Purpose::ReadOn).await?;
            session.rollback().await?;
        }
        Ok(session)
    }
}

/// How a server is reached: of one whose name has several addresses, each is a way of its own.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// Over TCP, with TLS.
    Tcp {
        /// The name that the certificate must be for.
        name: String,
        /// Where.
        address: SocketAddr,
    },
    /// Over this socket.
    Socket(PathBuf),
}

/// What makes TLS of a connection.
type Tls = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

async fn ways(server: &Server) -> Result<Vec<Way>, Trouble> {
    match server {
        Server::Tcp { name, port } => {
            let found = tokio::net::lookup_host((name.as_str(), *port)).await;
            let found = found.map_err(Trouble::Unreachable)?;
            Ok(found.map(|address| Way::Tcp { name: name.clone(), address }).collect())
        }
        Server::Socket { folder, port } => {
            Ok(vec![Way::Socket(folder.join(format!(".s.PGSQL.{port}")))])
        }
    }
}

/// Refuses a socket that anybody may have put there in the server's absence: to whoever listens the
/// role's password may be shown, and what it answers is believed.
fn known(path: &Path, stream: &UnixStream) -> Result<(), Trouble> {
    let folder = path.parent().unwrap_or(Path::new("/")).metadata();
    if folder.map_err(Trouble::Unreachable)?.mode() & 0o002 != 0 {
        return Err(Trouble::OpenFolder);
    }
    let owner = path.metadata().map_err(Trouble::Unreachable)?.uid();
    let peer = stream.peer_cred().map_err(Trouble::Unreachable)?.uid();
    if peer == 0 || peer == owner { Ok(()) } else { Err(Trouble::Stranger(peer)) }
}

/// Judges what a server tells of itself: the oldest that the statements are written for, and the one
/// encoding in which every name can be kept.
fn fits(version: Option<&str>, encoding: Option<&str>) -> Result<(), Trouble> {
    let version = version.unwrap_or("unknown");
    let digits = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    if digits.parse::<u32>().is_ok_and(|major| major < OLDEST) {
        return Err(Trouble::TooOld(version.to_owned()));
    }
    match encoding {
        None | Some("UTF8") => Ok(()),
        Some(other) => Err(Trouble::Encoding(other.to_owned())),
    }
}

/// Has the system notice a server that is gone without a word.
fn watched(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE).with_interval(ACKNOWLEDGE))?;
    socket.set_tcp_user_timeout(Some(ACKNOWLEDGE))
}

/// TLS that checks the server's certificate and its name, always.
fn tls(settings: &PostgresSettings) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &settings.ca_file {
        let failed = |error| format!("store.ca-file {}: {error}", path.display());
        let all = CertificateDer::pem_file_iter(path).map_err(failed)?;
        for certificate in all {
            let certificate = certificate.map_err(failed)?;
            roots
                .add(certificate)
                .map_err(|error| format!("store.ca-file {}: {error}", path.display()))?;
        }
    } else {
        // Some of a system's certificates may be of no use; the rest serves.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        let none = "there is no certificate of an authority to judge the server by; install \
                    ca-certificates, or name one: store.ca-file";
        return Err(none.to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::{Trouble, fits};

    #[test]
    fn an_old_server_is_refused() {
        for (version, good) in
            [("14.11", false), ("9.6.24", false), ("15.8 (Debian 15.8-0)", true), ("17beta1", true)]
        {
            let judged = fits(Some(version), Some("UTF8"));
            assert_eq!(judged.is_ok(), good, "{version}: {judged:?}");
        }
        let judged = fits(Some("15.8"), Some("SQL_ASCII"));
        assert!(matches!(judged, Err(Trouble::Encoding(_))), "{judged:?}");
    }
}
