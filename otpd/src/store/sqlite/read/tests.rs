use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::Reads;
use crate::{keys::MasterKey, store::Sqlite};

#[tokio::test]
async fn nothing_is_read_for_who_has_given_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("otpd.db");
    let keys = MasterKey::from_bytes([1; 32]).derive();
    let _engine = Sqlite::open(&path, keys.clone()).expect("a database");
    let reads = Reads::open(&path, keys).expect("the same");
    let (release, wait) = mpsc::channel::<()>();
    let was_read = Arc::new(AtomicBool::new(false));
    let reads_it = Arc::clone(&was_read);
    let mut first = pin!(reads.read(move |_, _| Ok(wait.recv().is_ok())));
    {
        let second = pin!(reads.read(move |_, _| {
            reads_it.store(true, Ordering::Relaxed);
            Ok(())
        }));
        // Both are asked for, and who asked for the second gives up.
        tokio::select! {
            biased;
            _ = &mut first => panic!("the first is held up"),
            _ = second => panic!("the second waits behind it"),
            () = std::future::ready(()) => {}
        }
    }
    release.send(()).expect("it waits");
    assert_eq!(first.await, Ok(true));
    reads.read(|_, _| Ok(())).await.expect("a read behind both");
    assert!(!was_read.load(Ordering::Relaxed));
}
