//! What may happen, and how often each is drawn.

use proptest::prelude::*;

use super::host::Mood;

#[derive(Clone, Copy, Debug)]
pub(super) enum Typed {
    Right,
    Wrong,
    Earlier,
    /// The newest code of another login, of another account where there is one.
    Crossed,
    Recovery,
    UsedRecovery,
    Help(&'static str),
    Resend,
    Call,
    Quit,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Begin {
        who: usize,
        connection: u8,
    },
    Answer {
        who: usize,
        which: usize,
        typed: Typed,
    },
    /// Two answers at once.
    Pair {
        who: usize,
        which: usize,
        typed: [Typed; 2],
    },
    /// A login, and wrong codes until it is denied.
    Guess {
        who: usize,
        connection: u8,
    },
    /// Logins that are guessed at for so many hours, until every limit of an hour is met in each.
    Besiege {
        who: usize,
        hours: u8,
    },
    /// The newest login waits, and has its code sent again.
    Resend {
        who: usize,
    },
    /// Logins that are called twice each, one in an hour.
    Ring {
        who: usize,
        hours: u8,
    },
    /// It waits until its code is dead, and types something.
    Expire {
        who: usize,
    },
    Abandon {
        who: usize,
        which: usize,
    },
    Mood(Mood),
    Advance {
        seconds: u64,
    },
    Back {
        seconds: u64,
    },
    Restart,
    Unlock {
        who: usize,
    },
    Disable {
        who: usize,
    },
    Enable {
        who: usize,
    },
    Replace {
        who: usize,
    },
    Verify {
        who: usize,
        right: bool,
    },
    Remove {
        who: usize,
    },
    RecoveryCodes {
        who: usize,
    },
    Bypass {
        who: usize,
    },
}

fn typed() -> impl Strategy<Value = Typed> {
    prop_oneof![
        6 => Just(Typed::Right),
        7 => Just(Typed::Wrong),
        2 => Just(Typed::Earlier),
        2 => Just(Typed::Crossed),
        1 => Just(Typed::Recovery),
        1 => Just(Typed::UsedRecovery),
        2 => prop::sample::select(vec!["?", "", "1234567"]).prop_map(Typed::Help),
        4 => Just(Typed::Resend),
        2 => Just(Typed::Call),
        1 => Just(Typed::Quit),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    // Most of it happens to one account: what is spread thin meets no limit.
    let who = || prop_oneof![6 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    let which = || prop_oneof![4 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    let mood = prop::sample::select(vec![Mood::Refuses, Mood::Unclear, Mood::Silent]);
    prop_oneof![
        28 => (who(), 0u8..8).prop_map(|(who, connection)| Op::Begin { who, connection }),
        48 => (who(), which(), typed())
            .prop_map(|(who, which, typed)| Op::Answer { who, which, typed }),
        6 => (who(), which(), [typed(), typed()])
            .prop_map(|(who, which, typed)| Op::Pair { who, which, typed }),
        10 => (who(), 0u8..8).prop_map(|(who, connection)| Op::Guess { who, connection }),
        1 => (who(), 2u8..4).prop_map(|(who, hours)| Op::Besiege { who, hours }),
        8 => who().prop_map(|who| Op::Resend { who }),
        1 => (who(), 2u8..4).prop_map(|(who, hours)| Op::Ring { who, hours }),
        6 => who().prop_map(|who| Op::Expire { who }),
        2 => (who(), which()).prop_map(|(who, which)| Op::Abandon { who, which }),
        10 => mood.prop_map(Op::Mood),
        8 => (1u64..70).prop_map(|seconds| Op::Advance { seconds }),
        4 => (70u64..4000).prop_map(|seconds| Op::Advance { seconds }),
        2 => (4000u64..40_000).prop_map(|seconds| Op::Advance { seconds }),
        2 => (0u64..7200).prop_map(|seconds| Op::Back { seconds }),
        3 => Just(Op::Restart),
        2 => who().prop_map(|who| Op::Unlock { who }),
        1 => who().prop_map(|who| Op::Disable { who }),
        1 => who().prop_map(|who| Op::Enable { who }),
        1 => who().prop_map(|who| Op::Replace { who }),
        2 => (who(), any::<bool>()).prop_map(|(who, right)| Op::Verify { who, right }),
        1 => who().prop_map(|who| Op::Remove { who }),
        2 => who().prop_map(|who| Op::RecoveryCodes { who }),
        1 => who().prop_map(|who| Op::Bypass { who }),
    ]
}
