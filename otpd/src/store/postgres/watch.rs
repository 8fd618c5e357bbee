//! A look at the servers that are not in use, for a host whose own server goes on: when a network is
//! split, and another server becomes the primary meanwhile, nothing else would tell.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::connect::Connector;

/// How long a host may decide on a primary from before a failover once it can reach the new one.
const LOOK: Duration = Duration::from_secs(5);

/// Looks again and again, where there is more than one; ends with the runtime.
pub(super) async fn watch(connector: Connector) {
    if connector.settings().servers.len() < 2 {
        return;
    }
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        look(&connector).await;
    }
}

/// Learns the newest timeline that can be reached: no server on an older one is used any more.
pub(super) async fn look(connector: &Connector) {
    if let Err(trouble) = connector.connect().await {
        // Whoever needs a server says so.
        debug!(error = %trouble, "no server takes changes");
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::store::{PostgresSettings, Server};

    #[tokio::test(start_paused = true)]
    async fn where_there_are_two_servers_they_are_looked_at_for_ever() {
        let away = |port| Server::Socket { folder: "/nowhere".into(), port };
        let goes_on = async |servers| {
            let settings = PostgresSettings {
                servers,
                user: "otpd".to_owned(),
                database: "otpd".to_owned(),
                password: None,
                ca_file: None,
            };
            let connector = Connector::new(settings).expect("a way");
            timeout(Duration::from_mins(1), watch(connector)).await.is_err()
        };
        assert!(!goes_on(vec![away(1)]).await, "there is no other to find");
        assert!(goes_on(vec![away(1), away(2)]).await);
    }
}
