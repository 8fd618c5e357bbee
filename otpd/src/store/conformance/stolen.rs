//! What somebody has who copied the database and not the key: a search by brute force finds neither
//! a code nor a number in it. With the key the same search finds both, so it does search.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    thread,
};

use super::{Subject, account, keys, town::Town};
use crate::{
    domain::{
        account::Account,
        challenge::State,
        passcode::{ChallengeToken, CodeHash, CodeKey, Passcode, Purpose},
        phone::E164,
        time::MINUTE,
    },
    keys::{Keys, MasterKey},
    store::Scope,
};

/// A stored code, with everything that a thief reads beside it.
struct Stolen {
    owner: Account,
    token: ChallengeToken,
    purpose: Purpose,
    hash: CodeHash,
}

impl Stolen {
    /// Tries every code of six digits; as many searchers as there are processors.
    fn search(&self, key: &CodeKey) -> Option<String> {
        const ALL: u32 = 1_000_000;
        let searchers = u32::try_from(thread::available_parallelism().map_or(1, usize::from));
        let searchers = searchers.expect("a few");
        thread::scope(|scope| {
            let search = |first: u32| {
                move || (first..ALL).step_by(searchers as usize).find_map(|n| self.fits(key, n))
            };
            let running: Vec<_> = (0..searchers).map(|n| scope.spawn(search(n))).collect();
            running.into_iter().find_map(|search| search.join().expect("a search"))
        })
    }

    fn fits(&self, key: &CodeKey, number: u32) -> Option<String> {
        let digits = format!("{number:06}");
        let code = Passcode::typed(&digits, 6)?;
        let hash = key.hash(self.purpose, self.token, &self.owner, &code);
        hash.matches(&self.hash).then_some(digits)
    }
}

/// Live codes of both purposes, by who reads the rows.
async fn codes(town: &Town, names: &[&str]) -> Vec<Stolen> {
    let mut stolen = Vec::new();
    for name in names {
        let owner = account(name);
        let look = super::changing(|records| records.login.challenges.clone());
        for challenge in town.decide(Scope::Account(owner.clone()), look).await {
            let State::Live { code, .. } = challenge.state else { continue };
            let (owner, token, purpose) = (owner.clone(), challenge.token, challenge.purpose);
            stolen.push(Stolen { owner, token, purpose, hash: code });
        }
    }
    stolen
}

/// What a thief without the key can try: no key at all, and what stands in the dump.
fn guessed_keys(right: &Keys) -> [CodeKey; 2] {
    let mut of_check = [0; 32];
    of_check.iter_mut().zip(right.check.iter().cycle()).for_each(|(to, from)| *to = *from);
    [[0; 32], of_check].map(|bytes| CodeKey::new(right.id, bytes))
}

pub(super) async fn no_code_without_the_key(subject: &impl Subject) {
    let town = Town::open(subject);
    town.populate(0..2, "US").await;
    let login = town.start("u0", None).await;
    let proof = town.enter("carol", "+13125550188", "US").await.expect("a message");
    let stolen = codes(&town, &["u0", "carol"]).await;
    let sent = [login, proof].map(|token| town.code(token));
    assert_eq!(stolen.len(), 2);
    assert_eq!((stolen[0].purpose, stolen[1].purpose), (Purpose::Login, Purpose::Enrollment));

    let right = keys(1);
    // All codes for the one, with no key; and what stands in the dump is not the key of the other.
    let [none, guessed] = guessed_keys(&right);
    assert_eq!(stolen[0].search(&none), None, "without the key");
    let proof: u32 = sent[1].parse().expect("digits");
    assert_eq!((proof..proof + 1_000).find_map(|n| stolen[1].fits(&guessed, n)), None);
    let found: Vec<_> = stolen.iter().filter_map(|stolen| stolen.search(&right.code)).collect();
    println!("1,000,000 tries without the key find nothing; with it {} of 2 codes", found.len());
    assert_eq!(found, sent, "with the key");
    // Nor does the right code fit where anything else is another.
    let swapped = Stolen { owner: account("u1"), ..codes(&town, &["u0"]).await.remove(0) };
    assert_eq!(swapped.fits(&right.code, sent[0].parse().expect("digits")), None);
}

/// Every way to write the digits of a number that a dump may hold.
fn spellings(number: &str) -> Vec<Vec<u8>> {
    let digits = number.trim_start_matches('+');
    let subscriber = &digits[digits.len() - 7..];
    let bcd = |digits: &str, swapped: bool| {
        let mut padded = digits.to_owned();
        if padded.len() % 2 == 1 {
            padded.push('f');
        }
        let nibble = |c: u8| char::from(c).to_digit(16).expect("a digit");
        let pair = |pair: &[u8]| {
            let (high, low) = (nibble(pair[0]), nibble(pair[1]));
            u8::try_from(if swapped { low << 4 | high } else { high << 4 | low }).expect("a byte")
        };
        padded.as_bytes().chunks(2).map(pair).collect::<Vec<_>>()
    };
    let wide = |order: fn(u16) -> [u8; 2]| digits.encode_utf16().flat_map(order).collect();
    let value: u64 = digits.parse().expect("digits");
    vec![
        digits.as_bytes().to_vec(),
        subscriber.as_bytes().to_vec(),
        wide(u16::to_le_bytes),
        wide(u16::to_be_bytes),
        bcd(digits, false),
        bcd(digits, true),
        bcd(&format!("0{digits}"), false),
        value.to_le_bytes().to_vec(),
        // Big numbers are written without their leading zeros.
        value.to_be_bytes()[3..].to_vec(),
    ]
}

/// Pages and files that are laid out in advance are made of zeros, and a few of them are enough.
fn without_emptiness(bytes: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let full = bytes.iter().filter(|byte| {
        zeros = if **byte == 0 { zeros + 1 } else { 0 };
        zeros <= 32
    });
    full.copied().collect()
}

/// The numbers of which one of the byte strings is in the dump.
fn found(dump: &[u8], wanted: &HashMap<Vec<u8>, u32>) -> BTreeSet<u32> {
    let lengths: BTreeSet<usize> = wanted.keys().map(Vec::len).collect();
    let mut found = BTreeSet::new();
    for length in lengths {
        found.extend(dump.windows(length).filter_map(|window| wanted.get(window)));
    }
    found
}

pub(super) async fn no_number_without_the_key(subject: &impl Subject) {
    const RANGE: u32 = 10_000;
    let number = |n: u32| format!("+1312555{n:04}");
    let town = Town::open(subject);
    let enrolled: Vec<u32> = (0..20).map(|n| n * 431 + 17).collect();
    for (nth, n) in enrolled.iter().enumerate() {
        let name = format!("u{nth}");
        town.give(&name, &number(*n)).await;
        // Everything that is written about a number: logins, wrong codes, refusals.
        let token = town.start(&name, None).await;
        town.answer(token, &town.wrong(token)).await;
        if nth % 2 == 0 {
            town.recovery_codes(&name).await;
            assert!(town.right(token).await);
        }
        town.wait(MINUTE);
    }
    town.close();
    let dump = without_emptiness(&subject.bytes());

    let mut spelled = HashMap::new();
    let mut indexed: BTreeMap<&str, HashMap<Vec<u8>, u32>> = BTreeMap::new();
    let right = keys(1);
    let wrong: [(&str, Keys); 2] = [
        ("a key of zeros", MasterKey::from_bytes([0; 32]).derive()),
        ("another key", MasterKey::from_bytes([9; 32]).derive()),
    ];
    // Of those alone that are there: of ten thousand the bytes of one stand somewhere by chance.
    for n in &enrolled {
        spelled.extend(spellings(&number(*n)).into_iter().map(|spelling| (spelling, *n)));
    }
    for n in 0..RANGE {
        let e164: E164 = number(n).parse().expect("a number");
        for (name, keys) in
            wrong.iter().map(|(name, keys)| (*name, keys)).chain([("right", &right)])
        {
            indexed.entry(name).or_default().insert(keys.index(&e164).0.to_vec(), n);
        }
    }
    assert_eq!(found(&dump, &spelled), BTreeSet::new(), "in the clear");
    for (name, _) in &wrong {
        assert_eq!(found(&dump, &indexed[name]), BTreeSet::new(), "by {name}");
    }
    let all: BTreeSet<u32> = enrolled.iter().copied().collect();
    assert_eq!(found(&dump, &indexed["right"]), all, "with the key");
    // And what is in the clear would be found, however it is written.
    for spelling in spellings(&number(enrolled[3])) {
        let mut leaky = dump.clone();
        let middle = leaky.len() / 2;
        leaky.splice(middle..middle, spelling.clone());
        assert_eq!(found(&leaky, &spelled), BTreeSet::from([enrolled[3]]), "{spelling:02x?}");
    }
    println!(
        "{} bytes: none of the 20 numbers is found in nine spellings, none of {RANGE} by a guessed \
         key, and all 20 by the right one",
        dump.len()
    );
}
