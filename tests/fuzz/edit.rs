//! From a fuzzer's bytes to something near to what is valid: bytes drawn at random are refused by the
//! first line of every parser, and what lies behind it would never run.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long a target runs in an ordinary test run, after its corpus; a fuzzer with coverage has
/// options of its own.
pub(crate) const TIME: Duration = Duration::from_secs(10);

/// How often targets of this process ran.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// Counts a run.
pub(crate) fn run() {
    RUNS.fetch_add(1, Ordering::Relaxed);
}

/// The fewest runs beside the corpus: ten a second, where a parser is done in microseconds.
const FEWEST: u64 = 100;

/// Says how often a target ran, which is more often than it has seeds in the tree: a corpus that is not
/// found is no error to the engine, and neither is a time of zero.
pub(crate) fn report(target: &str) {
    let folder = format!("{}/../tests/fuzz/__fuzz__/{target}/corpus", env!("CARGO_MANIFEST_DIR"));
    let seeds = std::fs::read_dir(&folder).expect("a corpus").count() as u64;
    let runs = RUNS.load(Ordering::Relaxed);
    println!("{target}: {runs} runs, {seeds} of them of the corpus");
    assert!(seeds > 0, "{folder} is empty");
    assert!(runs >= seeds + FEWEST, "{target}: {runs} runs and {seeds} seeds");
}

/// Most edits of one seed.
const EDITS: usize = 24;

/// Pieces that parsers trip over.
const PIECES: [&[u8]; 40] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"=",
    b"&",
    b"%00",
    b"%",
    b"+",
    b"\\u0000",
    b"\\ud800",
    b"\\",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"99999999999999999999999999999999",
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"<",
    b"]]>",
    b"'",
    b"#",
    b"..",
    b"/",
    b"@",
    b"482913",
    b"+13125550142",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\xff\xfe",
    b"\xf0\x9f\x98\x80",
];

/// One of the seeds, chosen by the first byte of `script`, with the edits that the rest says; with
/// 255 first, the rest as it is.
pub(crate) fn edited(seeds: &[&[u8]], script: &[u8]) -> Vec<u8> {
    let Some((&first, mut script)) = script.split_first() else { return Vec::new() };
    let seed = |n: u8| seeds.get(usize::from(n) % seeds.len().max(1)).copied();
    if first == 255 {
        return script.to_vec();
    }
    let mut text = seed(first).unwrap_or_default().to_vec();
    for _ in 0..EDITS {
        let Some((&[what, high, low, by], rest)) = script.split_first_chunk::<4>() else { break };
        script = rest;
        let at = usize::from(u16::from_be_bytes([high, low])) % (text.len() + 1);
        let end = (at + 1 + usize::from(by) % 24).min(text.len());
        let put: Vec<u8> = match what % 8 {
            0 | 1 => PIECES.get(usize::from(by) % PIECES.len()).copied().unwrap_or_default().into(),
            2 => vec![by],
            // Over and over: limits of lengths and depths.
            3 => text.get(at..end).unwrap_or_default().repeat(1 + usize::from(by)),
            4 => seed(by).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        };
        match what % 8 {
            // In the place of something.
            0 | 2 | 5 => drop(text.splice(at..end, put)),
            6 => text.truncate(at),
            7 => text.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (by % 8)),
            _ => drop(text.splice(at..at, put)),
        }
        text.truncate(64 * 1024);
    }
    text
}
