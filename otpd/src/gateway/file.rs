//! `kind = "file"`: JSON lines in a file, for demonstrations. It writes codes where whoever may
//! read the file can read them, which is why the configuration has to allow it by name.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use serde::Serialize;
use tokio::{task::spawn_blocking, time::timeout};
use zeroize::Zeroizing;

use super::{Gateway, Message, Outcome, Sending, client::DEADLINE, settings::FileSettings};
use crate::domain::challenge::Channel;

/// Appends messages to a file.
pub(super) struct File {
    path: PathBuf,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    to: &'a str,
    channel: &'static str,
    text: &'a str,
}

impl File {
    /// Nothing is opened before the first message, so that the file may be rotated or removed.
    pub(super) fn open(settings: &FileSettings) -> Self {
        Self { path: settings.path.clone() }
    }
}

impl Gateway for File {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn supports(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms | Channel::Voice => true,
        }
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let shown = self.path.display();
            let line = match line(message) {
                Ok(line) => line,
                Err(error) => return Outcome::Misconfigured(format!("{shown}: {error}")),
            };
            let path = self.path.clone();
            let written = spawn_blocking(move || append(&path, &line));
            match timeout(DEADLINE, written).await {
                Ok(Ok(Ok(()))) => Outcome::Accepted { vendor_id: None },
                Ok(Ok(Err(error))) => {
                    Outcome::Misconfigured(format!("cannot append to {shown}: {error}"))
                }
                Ok(Err(_)) | Err(_) => Outcome::Unknown(format!("{shown}: writing did not end")),
            }
        })
    }
}

fn line(message: &Message) -> serde_json::Result<Zeroizing<String>> {
    let channel = match message.channel {
        Channel::Sms => "sms",
        Channel::Voice => "voice",
    };
    let line = Line { to: message.to.expose(), channel, text: &message.text };
    let mut text = Zeroizing::new(serde_json::to_string(&line)?);
    text.push('\n');
    Ok(text)
}

/// Appends in one write, so that lines of several daemons do not mix.
fn append(path: &Path, line: &str) -> io::Result<()> {
    // No symlink, which somebody may have put there; no waiting for the reader of a pipe.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits())
        .open(path)?;
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use super::{File, FileSettings, Gateway, Outcome};
    use crate::{domain::challenge::Channel, gateway::testing::message};

    fn gateway(path: &Path) -> File {
        File::open(&FileSettings { path: path.to_owned() })
    }

    #[tokio::test]
    async fn each_message_is_a_line_in_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages.jsonl");
        let mut second = message(Channel::Voice);
        second.text.push_str("\n\"ü\"");
        for message in [message(Channel::Sms), second] {
            let outcome = gateway(&path).send(&message).await;
            assert_eq!(outcome, Outcome::Accepted { vendor_id: None });
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"to\":\"+13125550142\",\"channel\":\"sms\",\"text\":\"482913 is your code\"}\n\
             {\"to\":\"+13125550142\",\"channel\":\"voice\",\"text\":\"482913 is your code\\n\\\"ü\\\"\"}\n"
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for path in [folder.path().to_owned(), folder.path().join("no/such/folder"), link] {
            match gateway(&path).send(&message(Channel::Sms)).await {
                Outcome::Misconfigured(reason) => {
                    assert!(reason.contains(path.to_str().unwrap()), "{reason}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
