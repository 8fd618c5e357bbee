//! The routes that messages have, and whether their vendors would take one: credentials, and what is
//! left of the money.

use otp_proto::admin::{Credentials, GatewayChecked, PolicyReply};

use super::finding::Finding;

const SUBJECT: &str = "gateways";

/// Whether one failure leaves people without codes.
pub(super) fn judge(policy: &PolicyReply, checked: &[GatewayChecked]) -> Vec<Finding> {
    let PolicyReply { sms, voice, .. } = policy;
    let mut findings = Vec::new();
    if sms.is_empty() && voice.is_empty() {
        let text = "neither delivery.sms nor delivery.voice names a gateway: no code can be sent";
        let remedy = "name one in /etc/otpd/otpd.toml, then: systemctl reload otpd";
        return vec![Finding::problem(SUBJECT, text, remedy)];
    }
    if !sms.is_empty() {
        let text = format!("text messages go by {}", sms.join(", then "));
        findings.push(Finding::ok(SUBJECT, text));
    }
    if let [only] = sms.as_slice() {
        let text = format!("when {only} fails, no text message is sent");
        let remedy = "name a second gateway in delivery.sms, of another vendor";
        findings.push(Finding::note(SUBJECT, text).advising(remedy));
    }
    if voice.is_empty() {
        let text = "there are no calls: who gets no text message needs recovery codes";
        findings.push(Finding::note(SUBJECT, text).advising("name a gateway in delivery.voice"));
    } else {
        let text = format!("calls go by {}", voice.join(", then "));
        findings.push(Finding::ok(SUBJECT, text));
    }
    findings.extend(checked.iter().map(one));
    findings
}

fn one(checked: &GatewayChecked) -> Finding {
    let GatewayChecked { name, credentials, balance, reason } = checked;
    let reason = reason.as_deref().unwrap_or("it does not say why");
    match credentials {
        Credentials::Valid => match balance.as_deref() {
            Some(left) if is_nothing(left) => Finding::problem(
                SUBJECT,
                format!("{name}: {left} are left with the vendor"),
                "pay the vendor: without money nothing is sent",
            ),
            Some(left) => {
                let text = format!("{name}: the vendor knows the credentials; {left} are left");
                Finding::ok(SUBJECT, text)
            }
            None => Finding::ok(SUBJECT, format!("{name}: the vendor knows the credentials")),
        },
        Credentials::Refused => Finding::problem(
            SUBJECT,
            format!("{name}: the vendor refuses the credentials: {reason}"),
            "put the right ones into the files that otpd.toml names, then: systemctl reload otpd",
        ),
        Credentials::Unreachable => Finding::problem(
            SUBJECT,
            format!("{name}: the vendor cannot be asked: {reason}"),
            "see whether this host reaches the vendor: name resolution, firewall, clock",
        ),
        Credentials::Untold => {
            let text = format!("{name}: whether it takes messages can only be tried out");
            let advice = format!("otpctl test-message PHONE --gateway {name}");
            Finding::note(SUBJECT, text).advising(advice)
        }
    }
}

/// True for an amount of zero or less, as in `0.00 USD` or `-1.20 EUR`.
fn is_nothing(balance: &str) -> bool {
    let amount = balance.split_whitespace().next().unwrap_or_default();
    amount.starts_with('-') || amount.chars().all(|c| matches!(c, '0' | '.' | ','))
}

#[cfg(test)]
mod tests {
    use super::is_nothing;

    #[test]
    fn no_money_is_noticed() {
        let cases = [
            ("12.50 USD", false),
            ("0.50 USD", false),
            ("0.00 USD", true),
            ("0", true),
            ("-3 EUR", true),
        ];
        for (balance, expected) in cases {
            assert_eq!(is_nothing(balance), expected, "{balance}");
        }
    }
}
