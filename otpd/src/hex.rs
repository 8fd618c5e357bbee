//! 128 bits as 32 hexadecimal digits, in one spelling: names in URLs that are secrets besides.

/// Writes them.
pub(crate) fn write(bits: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bits))
}

/// Reads them; `None` for any other spelling.
pub(crate) fn read(text: &str) -> Option<[u8; 16]> {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fits = text.len() == 32 && text.bytes().all(plain);
    let number = fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_one_spelling() {
        let bits = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xab, 0xcd, 0xef, 0xfe, 0xff, 0];
        let text = super::write(bits);
        assert_eq!(text, "00010203040506070809abcdeffeff00");
        assert_eq!(super::read(&text), Some(bits));
        for (name, other) in [
            ("capitals", text.to_uppercase()),
            ("a sign", format!("+{}", &text[1..])),
            ("short", text[1..].to_owned()),
            ("long", format!("{text}0")),
            ("empty", String::new()),
        ] {
            assert_eq!(super::read(&other), None, "{name}");
        }
    }
}
