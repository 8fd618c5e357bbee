//! What administrators do, and what must follow from it.

use otp_proto::Secret;
use proptest::test_runner::TestCaseError;

use super::{
    super::{
        host::Mood,
        model::{Checked, State, claim},
    },
    Trial,
};
use crate::{
    domain::{bypass::Wanted, login::Progress, manage::Verb, recovery::CODES, time::HOUR},
    verifier::{EnrollRequest, Failure, tests::Typed as Text},
};

impl Trial {
    pub(super) fn manage(&mut self, who: usize, verb: Verb) -> Checked {
        let identity = self.host.people[who].clone();
        let done =
            self.host.serve(|verifier| async move { verifier.manage(&identity, verb, 0).await });
        let done = done.expect("a working store").is_some();
        self.written(who, &[])?;
        let person = &mut self.people[who];
        claim!(done == (person.state != State::Gone), "{verb:?} of {:?}", person.state);
        match verb {
            Verb::Unlock if done => person.unlocked(),
            Verb::Unlock => {}
            Verb::Disable => {
                person.state = match person.state {
                    State::Active => State::Disabled { proved: true },
                    State::Pending => State::Disabled { proved: false },
                    State::Disabled { proved } => State::Disabled { proved },
                    State::Gone => State::Gone,
                };
                person.proof = None;
            }
            Verb::Enable => {
                if let State::Disabled { proved } = person.state {
                    person.state = if proved { State::Active } else { State::Pending };
                }
            }
            Verb::Remove => {
                (person.state, person.proof) = (State::Gone, None);
            }
        }
        if matches!(verb, Verb::Disable | Verb::Remove) {
            person.all_over(self.host.now())?;
            if verb == Verb::Remove || !done {
                person.recovery.clear();
                person.bypass = None;
            }
        }
        Ok(())
    }

    /// A new number is entered, as whoever has none gets it.
    pub(super) fn replace(&mut self, who: usize) -> Checked {
        if matches!(self.people[who].state, State::Disabled { .. }) {
            return Ok(());
        }
        self.host.is(Mood::Takes);
        self.numbers += 1;
        let phone = Secret::new(format!("+1312{:07}", 2_000_000 + self.numbers));
        let request = EnrollRequest { phone, channel: None, replace: true };
        let identity = self.host.people[who].clone();
        let done = self.host.serve(|verifier| async move {
            let done = verifier.enroll(&identity, request, 0).await;
            done.map(|(_, placed)| placed)
        });
        if done.as_ref().is_ok_and(|placed| placed.progress == Progress::Sending) {
            self.host.heard();
        }
        let text = self.host.last_text();
        self.written(who, &[])?;
        let placed = match done {
            Ok(placed) => placed,
            Err(error) => return Err(TestCaseError::fail(format!("not enrolled: {error:?}"))),
        };
        let Some(text) = text else {
            // The breaker keeps the vendor from being asked.
            claim!(placed.reason.is_some(), "no message, and no reason");
            let person = &mut self.people[who];
            person.all_over(self.host.now())?;
            (person.state, person.proof) = (State::Pending, None);
            return Ok(());
        };
        let person = &mut self.people[who];
        person.all_over(self.host.now())?;
        (person.state, person.proof) = (State::Pending, Some(text.code));
        Ok(())
    }

    pub(super) fn verify(&mut self, who: usize, right: bool) -> Checked {
        let Some(proof) = self.people[who].proof.clone() else { return Ok(()) };
        let wrong = if proof.starts_with('0') { "111111" } else { "000000" };
        let text = Text::new(if right { &proof } else { wrong });
        let identity = self.host.people[who].clone();
        let done =
            self.host.serve(|verifier| async move { verifier.verify(&identity, text, 0).await });
        self.written(who, &[])?;
        let person = &mut self.people[who];
        match done {
            Ok(_) => {
                claim!(right && person.state == State::Pending, "a wrong code proves a number");
                (person.state, person.proof) = (State::Active, None);
                *self.met.entry("proof right".to_owned()).or_default() += 1;
            }
            Err(Failure::Refused(_)) => {
                *self.met.entry("proof refused".to_owned()).or_default() += 1;
            }
            Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
        }
        Ok(())
    }

    pub(super) fn recovery_codes(&mut self, who: usize) -> Checked {
        let identity = self.host.people[who].clone();
        let made =
            self.host.serve(|verifier| async move { verifier.recovery_codes(&identity, 0).await });
        self.written(who, &[])?;
        let person = &mut self.people[who];
        if let Ok(made) = made {
            claim!(made.len() == CODES, "{} codes", made.len());
            person.recovery_used.append(&mut person.recovery);
            person.recovery = made.iter().map(|code| code.grouped().to_string()).collect();
        }
        Ok(())
    }

    pub(super) fn bypass(&mut self, who: usize) -> Checked {
        if self.people[who].bypass.is_some() {
            return Ok(());
        }
        let wanted = Wanted::new(3600, "lost phone", Some(2), None).expect("good");
        let identity = self.host.people[who].clone();
        let granted = self
            .host
            .serve(|verifier| async move { verifier.grant_bypass(&identity, wanted, 0).await });
        self.written(who, &[])?;
        let now = self.host.now();
        if granted.is_ok() {
            self.people[who].bypass = Some((2, now, now.after(HOUR)));
        }
        Ok(())
    }
}
