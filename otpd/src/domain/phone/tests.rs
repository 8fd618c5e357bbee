use proptest::prelude::*;

use super::{
    Country, Destination, E164,
    Line::{self, Fixed, FixedOrMobile, Mobile},
    NumberError::{self, *},
    parse,
};

fn country(text: &str) -> Country {
    text.parse().unwrap()
}

/// Numbers that may be enrolled: the plans' own examples, one or more a country and kind.
const ACCEPTED: &[(&str, &str, Line)] = &[
    // North America shares +1; the area tells the country, nothing tells the kind of line.
    ("+12015550123", "US", FixedOrMobile),
    ("+13125550123", "US", FixedOrMobile),
    ("+15062345678", "CA", FixedOrMobile),
    ("+14165550123", "CA", FixedOrMobile),
    ("+12423591234", "BS", Mobile),
    ("+12462501234", "BB", Mobile),
    ("+18762101234", "JM", Mobile),
    ("+18092345678", "DO", FixedOrMobile),
    ("+17872345678", "PR", FixedOrMobile),
    ("+18682911234", "TT", Mobile),
    ("+14413701234", "BM", Mobile),
    ("+16713001234", "GU", FixedOrMobile),
    // Europe.
    ("+447400123456", "GB", Mobile),
    ("+441212345678", "GB", Fixed),
    ("+447781123456", "GG", Mobile),
    ("+447797712345", "JE", Mobile),
    ("+447624301234", "IM", Mobile),
    ("+353850123456", "IE", Mobile),
    ("+35312345678", "IE", Fixed),
    ("+4915123456789", "DE", Mobile),
    ("+4930123456", "DE", Fixed),
    ("+33612345678", "FR", Mobile),
    ("+33123456789", "FR", Fixed),
    ("+34612345678", "ES", Mobile),
    ("+34810123456", "ES", Fixed),
    ("+351912345678", "PT", Mobile),
    ("+351212345678", "PT", Fixed),
    ("+393123456789", "IT", Mobile),
    ("+390212345678", "IT", Fixed),
    ("+390669812345", "VA", Fixed),
    ("+41781234567", "CH", Mobile),
    ("+41212345678", "CH", Fixed),
    ("+43664123456", "AT", Mobile),
    ("+31612345678", "NL", Mobile),
    ("+31101234567", "NL", Fixed),
    ("+32470123456", "BE", Mobile),
    ("+3212345678", "BE", Fixed),
    ("+352628123456", "LU", Mobile),
    ("+4534412345", "DK", Mobile),
    ("+46701234567", "SE", Mobile),
    ("+4681234567", "SE", Fixed),
    ("+4740612345", "NO", Mobile),
    ("+4721234567", "NO", Fixed),
    ("+358412345678", "FI", Mobile),
    ("+3546111234", "IS", Mobile),
    ("+37251234567", "EE", Mobile),
    ("+37121234567", "LV", Mobile),
    ("+37061234567", "LT", Mobile),
    ("+48512345678", "PL", Mobile),
    ("+420601123456", "CZ", Mobile),
    ("+421912123456", "SK", Mobile),
    ("+36201234567", "HU", Mobile),
    ("+40712034567", "RO", Mobile),
    ("+35943012345", "BG", Mobile),
    ("+306912345678", "GR", Mobile),
    ("+905012345678", "TR", Mobile),
    ("+380501234567", "UA", Mobile),
    ("+79123456789", "RU", Mobile),
    ("+77710009998", "KZ", Mobile),
    ("+38343201234", "XK", Mobile),
    // Asia, Africa, Oceania, Latin America.
    ("+972502345678", "IL", Mobile),
    ("+971501234567", "AE", Mobile),
    ("+966512345678", "SA", Mobile),
    ("+918123456789", "IN", Mobile),
    ("+923012345678", "PK", Mobile),
    ("+8801812345678", "BD", Mobile),
    ("+8613123456789", "CN", Mobile),
    ("+85251234567", "HK", Mobile),
    ("+886912345678", "TW", Mobile),
    ("+819012345678", "JP", Mobile),
    ("+81312345678", "JP", Fixed),
    ("+821020000000", "KR", Mobile),
    ("+6581234567", "SG", Mobile),
    ("+60123456789", "MY", Mobile),
    ("+66812345678", "TH", Mobile),
    ("+84912345678", "VN", Mobile),
    ("+62812345678", "ID", Mobile),
    ("+639051234567", "PH", Mobile),
    ("+61412345678", "AU", Mobile),
    ("+61212345678", "AU", Fixed),
    ("+64211234567", "NZ", Mobile),
    ("+27711234567", "ZA", Mobile),
    ("+2348021234567", "NG", Mobile),
    ("+254712123456", "KE", Mobile),
    ("+201001234567", "EG", Mobile),
    ("+212650123456", "MA", Mobile),
    ("+5511961234567", "BR", Mobile),
    ("+551123456789", "BR", Fixed),
    ("+5491123456789", "AR", Mobile),
    ("+522221234567", "MX", FixedOrMobile),
    ("+56221234567", "CL", FixedOrMobile),
    ("+573211234567", "CO", Mobile),
    ("+51912345678", "PE", Mobile),
];

/// Numbers that may not, and why.
const REFUSED: &[(&str, NumberError)] = &[
    ("+19002345678", Premium),
    ("+449012345678", Premium),
    ("+499001234567", Premium),
    ("+33891123456", Premium),
    ("+39899123456", Premium),
    ("+41900123456", Premium),
    ("+611900123456", Premium),
    ("+81990123456", Premium),
    ("+18002345678", TollFree),
    ("+18882345678", TollFree),
    ("+448001234567", TollFree),
    ("+498001234567", TollFree),
    ("+33801234567", TollFree),
    ("+611800123456", TollFree),
    ("+81120123456", TollFree),
    ("+33884012345", SharedCost),
    ("+4918012345", SharedCost),
    ("+41840123456", SharedCost),
    ("+39848123456", SharedCost),
    ("+611300123456", SharedCost),
    ("+445612345678", Voip),
    ("+33912345678", Voip),
    ("+34912345678900", TooLong),
    ("+815012345678", Voip),
    ("+827012345678", Voip),
    ("+5540041234", SharedCost),
    ("+15002345678", Personal),
    ("+447012345678", Personal),
    ("+4970012345678", Personal),
    ("+41878123456", Personal),
    ("+447640123456", Pager),
    ("+4916412345", Pager),
    ("+61163123456", Pager),
    ("+445512345678", UniversalAccess),
    ("+4918500123456", UniversalAccess),
    ("+41581234567", UniversalAccess),
    ("+33806123456", UniversalAccess),
    ("+49177991234567", Voicemail),
    ("+41860123456789", Voicemail),
    ("+80012345678", TollFree),
    ("+870773111632", NoCountry),
    ("+881612345678", NoCountry),
    ("+979123456789", Premium),
    ("+999123456789", CallingCode),
    ("+210123456789", CallingCode),
    ("+0123456789", CallingCode),
    ("+1", TooShort),
    ("+1911", TooShort),
    ("+112", TooShort),
    ("+15550123", AreaCodeMissing),
    ("+11234567890", Invalid),
    ("+12015550123456", TooLong),
    ("+44999999999", Invalid),
    ("+12345678901234567890123", TooLong),
    ("", Empty),
    (" +-() ", Empty),
    ("12015550123", MissingPlus),
    ("0044 7400 123456", MissingPlus),
    ("+1 201 555 0123 ext. 4", Character),
    ("+1 800 FLOWERS", Character),
    ("++12015550123", Character),
    ("+1201555+0123", Character),
    ("tel:+12015550123", Character),
    ("+1 201 555 0123;ext=4", Character),
    ("+١٢٠١٥٥٥٠١٢٣", Character),
    ("*31#+12015550123", Character),
];

#[test]
fn numbers_of_people_are_accepted_with_their_country_and_line() {
    for (text, home, line) in ACCEPTED {
        let number = text.parse().unwrap();
        let expected = Destination { number, country: country(home), line: *line };
        assert_eq!(parse(text, None), Ok(expected), "{text}");
    }
}

#[test]
fn other_numbers_are_refused_for_their_own_reason() {
    for (text, reason) in REFUSED {
        assert_eq!(parse(text, None), Err(*reason), "{text}");
    }
}

#[test]
fn numbers_are_read_as_people_write_them() {
    let cases = [
        ("+1 (201) 555-0123", None, Ok("+12015550123")),
        ("+1.201.555.0123", None, Ok("+12015550123")),
        ("\t+44 7400 123456 ", None, Ok("+447400123456")),
        ("+44\u{a0}7400\u{2011}123\u{2013}456", None, Ok("+447400123456")),
        ("+44 (0)7400 123456", None, Ok("+447400123456")),
        ("+39 02 1234 5678", None, Ok("+390212345678")),
        ("(201) 555-0123", Some("US"), Ok("+12015550123")),
        ("1 201 555 0123", Some("US"), Ok("+12015550123")),
        ("(416) 555-0123", Some("US"), Ok("+14165550123")),
        ("07400 123456", Some("GB"), Ok("+447400123456")),
        ("0151 23456789", Some("DE"), Ok("+4915123456789")),
        ("06 12 34 56 78", Some("FR"), Ok("+33612345678")),
        ("02 1234 5678", Some("IT"), Ok("+390212345678")),
        ("8 (912) 345-67-89", Some("RU"), Ok("+79123456789")),
        ("+33612345678", Some("US"), Ok("+33612345678")),
        ("00 33 6 12 34 56 78", Some("FR"), Err(InternationalPrefix)),
        ("0033 612345678", Some("US"), Err(InternationalPrefix)),
        ("011 33 612345678", Some("US"), Err(InternationalPrefix)),
        ("555-0123", Some("US"), Err(AreaCodeMissing)),
        ("911", Some("US"), Err(TooShort)),
        ("112", Some("DE"), Err(TooShort)),
        ("20873", Some("US"), Err(TooShort)),
        ("900 234 5678", Some("US"), Err(Premium)),
        ("201 555 0123", Some("XX"), Err(DefaultCountry(country("XX")))),
    ];
    for (text, home, expected) in cases {
        let found = parse(text, home.map(country));
        let found = found.as_ref().map(|destination| destination.number.expose());
        assert_eq!(found, expected.as_ref().copied(), "{text}");
    }
}

#[test]
fn masks_show_the_calling_code_and_two_digits() {
    let cases = [
        ("ten digits", "+12015550142", "+1 ••• ••• ••42"),
        ("eleven", "+4915123456742", "+49 ••• ••• ••• 42"),
        ("nine", "+33612345642", "+33 ••• ••• •42"),
        ("eight", "+4534412342", "+45 ••• ••• 42"),
        ("seven, code of three", "+3546111242", "+354 ••• ••42"),
        ("the shortest there is", "+2901242", "+290 ••42"),
    ];
    for (name, number, expected) in cases {
        let number: E164 = number.parse().unwrap();
        assert_eq!(number.masked(), expected, "{name}");
        assert_eq!(format!("{number:?}"), "+…42", "{name}");
    }
}

#[test]
fn stored_forms_are_fixed() {
    let stored = |bytes: &[u8]| minicbor::decode::<Country>(bytes).ok();
    assert_eq!(minicbor::to_vec(country("US")).unwrap(), b"\x62US");
    assert_eq!(stored(b"\x62US"), Some(country("US")));
    assert_eq!(stored(b"\x62us"), None);
    assert_eq!(stored(b"\x63USA"), None);
    for (line, byte) in [(Mobile, 0), (Fixed, 1), (FixedOrMobile, 2)] {
        assert_eq!(minicbor::to_vec(line).unwrap(), [byte]);
        assert_eq!(minicbor::decode::<Line>(&[byte]).unwrap(), line);
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_without_panicking(text in "\\PC{0,40}", home in "[A-Z]{2}") {
        let _ = parse(&text, None);
        let _ = parse(&text, Some(country(&home)));
    }

    #[test]
    fn what_is_accepted_reads_back_as_itself(
        text in "[+]?[0-9 ()-]{1,24}",
        home in prop::sample::select(vec!["US", "GB", "DE", "IT", "BR", "MX", "AR", "JP"]),
    ) {
        if let Ok(found) = parse(&text, Some(country(home))) {
            prop_assert_eq!(parse(found.number.expose(), None), Ok(found.clone()));
            prop_assert_eq!(found.number.expose().parse::<E164>(), Ok(found.number.clone()));
            prop_assert!(!found.number.masked().contains(&found.number.expose()[4..]));
        }
    }
}
