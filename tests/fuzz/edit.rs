//! From a fuzzer's bytes to something near to what is valid: bytes drawn at random are refused by the
//! first line of every parser, and what lies behind it would never run.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a target runs in an ordinary test run, after its corpus; a fuzzer with coverage has
/// options of its own.
pub(crate) const TIME: Duration = Duration::from_secs(10);

/// What became of the targets of this process, by their names.
static TARGETS: LazyLock<Mutex<BTreeMap<&'static str, Runs>>> = LazyLock::new(Mutex::default);

struct Runs {
    number: u64,
    /// How many seeds there are in the tree.
    seeds: u64,
    /// Those that did not run yet.
    missing: BTreeSet<Vec<u8>>,
    /// What is in the tree runs as it is.
    kept: BTreeSet<Vec<u8>>,
    /// What draws all others, where every run is to draw the same.
    dice: Option<u64>,
}

impl Runs {
    fn new(target: &str) -> Self {
        let folder = corpus(target);
        let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file?.path());
        let all = |folder: &str| {
            let files = std::fs::read_dir(folder).ok()?;
            Some(files.map(|file| read(file).expect("a seed")).collect::<Vec<_>>())
        };
        let seeds = all(&folder).expect("a corpus");
        assert!(!seeds.is_empty(), "{folder} is empty");
        let crashes = all(&folder.replace("/corpus", "/crashes")).unwrap_or_default();
        let kept = seeds.iter().chain(&crashes).cloned().collect();
        let missing = seeds.iter().cloned().collect();
        Self { number: 0, seeds: seeds.len() as u64, missing, kept, dice: dice(target) }
    }

    /// Numbers that look random and are the same in every run: splitmix64.
    fn draw(dice: &mut u64) -> u64 {
        *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Mostly as long as a script of edits, and now and then long.
    fn bytes(dice: &mut u64) -> Vec<u8> {
        let [kind, high, low, ..] = Self::draw(dice).to_le_bytes();
        let most = if kind < 32 { 4096 } else { 128 };
        let length = usize::from(u16::from_le_bytes([low, high])) % most;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(Self::draw(dice).to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// An ordinary test run draws the same inputs each time, by the seed that its properties are drawn by: the
/// engine itself has none. A failure that it shows is met again with that seed.
#[expect(clippy::disallowed_methods, reason = "the seed of a test run is in its environment")]
fn dice(target: &str) -> Option<u64> {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok()?.parse::<u64>().ok()?;
    Some(target.bytes().fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into())))
}

/// Where a target's corpus is.
fn corpus(target: &str) -> String {
    format!("{}/../tests/fuzz/__fuzz__/{target}/corpus", env!("CARGO_MANIFEST_DIR"))
}

fn targets() -> MutexGuard<'static, BTreeMap<&'static str, Runs>> {
    TARGETS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a run with this input, or with another one that is drawn in its place.
pub(crate) fn run<'i>(target: &'static str, input: &'i [u8]) -> Cow<'i, [u8]> {
    let mut targets = targets();
    let runs = targets.entry(target).or_insert_with(|| Runs::new(target));
    runs.number += 1;
    runs.missing.remove(input);
    match &mut runs.dice {
        Some(dice) if !runs.kept.contains(input) => Runs::bytes(dice).into(),
        Some(_) | None => input.into(),
    }
}

/// The fewest runs beside the corpus: ten a second, where a parser is done in microseconds.
const FEWEST: u64 = 100;

/// Says how often a target ran: with each of its seeds in the tree, and more often than that. A corpus
/// that is not found is no error to the engine, and neither is a time of zero.
pub(crate) fn report(target: &str) {
    let targets = targets();
    let Runs { number, seeds, missing, .. } = targets.get(target).expect("it ran");
    println!("{target}: {number} runs, {seeds} of them of the corpus");
    assert!(missing.is_empty(), "{target}: of {} these did not run: {missing:?}", corpus(target));
    assert!(*number >= seeds + FEWEST, "{target}: {number} runs and {seeds} seeds");
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
