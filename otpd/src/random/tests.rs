use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use rand::RngExt;

use super::{DRAW, system};
use crate::domain::passcode::{Draw, Passcode};

#[test]
fn no_bytes_come_twice() {
    let mut rng = system();
    let drawn: Vec<[u8; 16]> = (0..DRAW).map(|_| rng.random()).collect();
    let others: Vec<[u8; 16]> = (0..DRAW).map(|_| system().random()).collect();
    let all: BTreeSet<_> = drawn.iter().chain(&others).collect();
    assert_eq!(all.len(), 2 * DRAW);
    assert!(all.iter().all(|bytes| bytes.iter().any(|byte| *byte != 0)));
    let odd: [u8; DRAW + 1] = std::array::from_fn(|_| rng.random());
    assert_ne!(odd[DRAW - 8..], [0; 9]);
}

/// How far counts are from equal, as chi-square of one less degrees of freedom than there are counts.
fn chi_square(counts: &[u32]) -> f64 {
    let all: u32 = counts.iter().sum();
    let mean = f64::from(all) / f64::from(u32::try_from(counts.len()).unwrap());
    counts.iter().map(|count| (f64::from(*count) - mean).powi(2) / mean).sum()
}

/// Draws as a login does, each code from the kernel anew.
fn codes_are_uniform(codes: u32) {
    let mut digits = [[0_u32; 10]; 6];
    // The first and the last three digits: a digit that follows from another one shows here.
    let mut halves = [vec![0_u32; 1000], vec![0_u32; 1000]];
    let mut zeros = 0_u32;
    for _ in 0..codes {
        let code = Passcode::generate(&mut system(), 6);
        let code = code.expose();
        zeros += u32::from(code.starts_with('0'));
        for (position, byte) in code.bytes().enumerate() {
            digits[position][usize::from(byte - b'0')] += 1;
        }
        for (half, counts) in [&code[..3], &code[3..]].into_iter().zip(&mut halves) {
            counts[half.parse::<usize>().unwrap()] += 1;
        }
    }
    // Of 9 and 999 degrees of freedom: each is passed about once in a million runs.
    for (position, counts) in digits.iter().enumerate() {
        let chi = chi_square(counts);
        println!("position {position}: chi-square {chi:.1} of 9 degrees, {counts:?}");
        assert!(chi < 45.0, "position {position}: {counts:?}");
    }
    for (half, counts) in halves.iter().enumerate() {
        let chi = chi_square(counts);
        println!("half {half}: chi-square {chi:.1} of 999 degrees");
        assert!((777.0..1231.0).contains(&chi), "half {half}: {chi}");
    }
    let share = f64::from(zeros) / f64::from(codes);
    let sigma = (0.09 / f64::from(codes)).sqrt();
    println!("{codes} codes, {share:.5} of them with a leading zero");
    assert!((share - 0.1).abs() < 5.0 * sigma, "{share}");
}

#[test]
fn a_million_codes_are_uniform_and_keep_their_leading_zeros() {
    codes_are_uniform(1_000_000);
}

#[test]
#[ignore = "long"]
fn ten_million_codes_are_uniform_and_keep_their_leading_zeros() {
    codes_are_uniform(10_000_000);
}

/// What one process draws; the next test runs this one in processes of their own.
#[test]
fn one_process_names_no_two_logins_alike() {
    let draws = (0..1000).map(|_| Draw::new(&mut system(), 6)).collect::<Vec<_>>();
    for draw in &draws {
        println!("drawn {} {}", draw.token.to_wire(), draw.code.expose());
    }
    let tokens = draws.iter().map(|draw| draw.token).collect::<BTreeSet<_>>();
    assert_eq!(tokens.len(), draws.len());
}

#[test]
fn two_processes_that_start_together_draw_nothing_alike() {
    let start = || {
        Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--exact",
                "random::tests::one_process_names_no_two_logins_alike",
                "--nocapture",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs")
    };
    let drawn = [start(), start()].map(|process| {
        let output = process.wait_with_output().expect("its output");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("text");
        // The runner's own words may stand before the first one in its line.
        let draws = text.lines().filter_map(|line| line.split_once("drawn ")?.1.split_once(' '));
        draws.map(|(token, code)| (token.to_owned(), code.to_owned())).collect::<Vec<_>>()
    });
    let [one, other] = &drawn;
    assert_eq!((one.len(), other.len()), (1000, 1000));
    let tokens = drawn.iter().flatten().map(|(token, _)| token).collect::<BTreeSet<_>>();
    assert_eq!(tokens.len(), 2000, "a login has a name that another one has");
    // Chance alone gives one in a million for each pair: more than twelve is no chance.
    let codes = one.iter().map(|(_, code)| code).collect::<BTreeSet<_>>();
    let common = other.iter().filter(|(_, code)| codes.contains(code)).count();
    assert!(common <= 12, "{common} codes of a thousand are those of the other process");
}
