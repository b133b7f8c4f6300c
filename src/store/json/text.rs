//! What JSON's strings, numbers and words mean, and how sops spells them.

use std::fmt::Write as _;

use crate::secret::{SecretBytes, SecretText};
use crate::store::PrintError;
use crate::value::{Kind, Plaintext};

/// What stands for what is not UTF-8, and for half of a surrogate pair.
const REPLACEMENT: &str = "\u{FFFD}";

/// Why a number cannot be read.
const OUT_OF_RANGE: &str = "this number is out of range: no float is so large";

/// The value of a scalar; `None` is null.
pub(super) fn read(raw: &[u8]) -> Result<Option<Plaintext>, &'static str> {
    Ok(Some(match raw {
        [b'"', inner @ .., b'"'] => Plaintext::new(Kind::Str, decode(inner)),
        b"null" => return Ok(None),
        b"true" => Plaintext::new(Kind::Bool, SecretBytes::copy_of(b"True")),
        b"false" => Plaintext::new(Kind::Bool, SecretBytes::copy_of(b"False")),
        number => read_number(number)?,
    }))
}

/// A number: an integer if it is written as one and fits 64 bits, else a float.
///
/// SOPS 3.13: `-0` is the integer 0; integers beyond 64 bits are floats, with what precision those have.
pub(super) fn read_number(raw: &[u8]) -> Result<Plaintext, &'static str> {
    let text = std::str::from_utf8(raw).map_err(|_| "this is no JSON number")?;
    let mut canonical = String::with_capacity(LONGEST_NUMBER);
    let kind = match text.parse::<i64>() {
        Ok(number) => {
            let _ = write!(canonical, "{number}");
            Kind::Int
        }
        Err(_) => {
            let number: f64 = text.parse().map_err(|_| "this is no JSON number")?;
            if number.is_infinite() {
                return Err(OUT_OF_RANGE);
            }
            let _ = write!(canonical, "{number}");
            Kind::Float
        }
    };
    Ok(Plaintext::new(kind, SecretBytes::new(canonical.into_bytes())))
}

/// The smallest float has 326 characters: growing would leave a copy behind.
const LONGEST_NUMBER: usize = 352;

// ---------------------------------------------------------------- strings

/// The name of a key.
pub(super) fn decode_key(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(text) if !raw.contains(&b'\\') => text.to_owned(),
        _ => String::from_utf8_lossy(decode(raw).expose()).into_owned(),
    }
}

/// What stands between quotes.
///
/// SOPS 3.13: each byte that is not UTF-8 and each half of a surrogate pair counts as U+FFFD.
pub(super) fn decode(raw: &[u8]) -> SecretBytes {
    if !raw.contains(&b'\\') && std::str::from_utf8(raw).is_ok() {
        return SecretBytes::copy_of(raw);
    }
    let mut text = SecretText::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        push_valid(&mut text, &rest[..at]);
        rest = &rest[at + 1..];
        let escape = rest.first().copied().unwrap_or(b'\\');
        rest = rest.get(1..).unwrap_or_default();
        match escape {
            b'b' => text.push(b"\x08"),
            b'f' => text.push(b"\x0C"),
            b'n' => text.push(b"\n"),
            b'r' => text.push(b"\r"),
            b't' => text.push(b"\t"),
            b'u' => {
                let unit = hex(rest);
                rest = rest.get(4..).unwrap_or_default();
                let low = rest.strip_prefix(b"\\u").map(hex);
                let character = match (unit, low) {
                    (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => {
                        rest = &rest[6..];
                        char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
                    }
                    _ => char::from_u32(unit),
                };
                let mut buffer = [0; 4];
                text.push_str(character.map_or(REPLACEMENT, |character| character.encode_utf8(&mut buffer)));
            }
            other => text.push(&[other]),
        }
    }
    push_valid(&mut text, rest);
    text.into_bytes()
}

/// Four hexadecimal digits; what is none counts as no character.
fn hex(digits: &[u8]) -> u32 {
    let digits = digits.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0xD800)
}

fn push_valid(text: &mut SecretText, mut raw: &[u8]) {
    loop {
        match std::str::from_utf8(raw) {
            Ok(valid) => return text.push_str(valid),
            Err(error) => {
                let (valid, rest) = raw.split_at(error.valid_up_to());
                text.push(valid);
                text.push_str(REPLACEMENT);
                raw = &rest[1..];
            }
        }
    }
}

/// Appends a text in quotes.
///
/// SOPS 3.13: Go's way, which escapes `<`, `>`, `&` and the line separators besides what must be.
pub(super) fn push_quoted(out: &mut SecretText, text: &[u8]) {
    out.push(b"\"");
    let mut done = 0;
    let mut at = 0;
    while at < text.len() {
        let (escape, len): (&[u8], usize) = match text[at] {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            0x08 => (b"\\b", 1),
            0x0C => (b"\\f", 1),
            0xE2 if text[at..].starts_with(b"\xE2\x80\xA8") => (b"\\u2028", 3),
            0xE2 if text[at..].starts_with(b"\xE2\x80\xA9") => (b"\\u2029", 3),
            byte if byte < 0x20 || matches!(byte, b'<' | b'>' | b'&') => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                out.push(&text[done..at]);
                out.push(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
                at += 1;
                done = at;
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        out.push(&text[done..at]);
        out.push(escape);
        at += len;
        done = at;
    }
    out.push(&text[done..]);
    out.push(b"\"");
}

// ---------------------------------------------------------------- spelling

/// Whether JSON can hold a value.
pub(super) fn check(value: &Plaintext) -> Result<(), PrintError> {
    let problem = match value.kind() {
        Kind::Float if matches!(value.expose(), b"NaN" | b"+Inf" | b"-Inf") => {
            "a float that is infinite or no number"
        }
        Kind::Str | Kind::Bytes if std::str::from_utf8(value.expose()).is_err() => {
            "bytes that are not UTF-8; they can be had as they are with --output-type binary or --extract"
        }
        _ => return Ok(()),
    };
    Err(PrintError { format: "JSON", problem: problem.to_owned() })
}

/// A value as sops prints it.
pub(super) fn spelled(value: &Plaintext) -> SecretText {
    let mut out = SecretText::with_capacity(value.expose().len() + 2);
    push_spelled(&mut out, value);
    out
}

/// Appends a value as sops prints it.
pub(super) fn push_spelled(out: &mut SecretText, value: &Plaintext) {
    match value.kind() {
        Kind::Bool => out.push_str(if value.expose() == b"True" { "true" } else { "false" }),
        Kind::Int => out.push(value.expose()),
        Kind::Float => push_float(out, value.expose()),
        Kind::Str | Kind::Bytes | Kind::Time | Kind::Comment => push_quoted(out, value.expose()),
    }
}

/// SOPS 3.13: very large and very small floats have an exponent, without leading zeros but with its sign.
fn push_float(out: &mut SecretText, canonical: &[u8]) {
    let number: Option<f64> = std::str::from_utf8(canonical).ok().and_then(|text| text.parse().ok());
    match number.filter(|number| number.is_finite()) {
        Some(number) if number != 0.0 && !(1e-6..1e21).contains(&number.abs()) => {
            let mut text = String::with_capacity(LONGEST_NUMBER);
            let _ = write!(text, "{number:e}");
            let text = SecretText::from(text);
            let at = text.expose().iter().position(|&byte| byte == b'e').map_or(text.len(), |at| at + 1);
            let (mantissa, exponent) = text.expose().split_at(at);
            out.push(mantissa);
            if !exponent.starts_with(b"-") {
                out.push(b"+");
            }
            out.push(exponent);
        }
        Some(_) => out.push(canonical),
        None => push_quoted(out, canonical),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind, text: &str) -> Plaintext {
        Plaintext::new(kind, SecretBytes::copy_of(text.as_bytes()))
    }

    fn shown(text: &SecretText) -> &str {
        std::str::from_utf8(text.expose()).unwrap()
    }

    #[test]
    fn numbers_are_what_sops_takes_them_for() {
        for (text, kind, canonical) in [
            ("0", Kind::Int, "0"),
            ("-0", Kind::Int, "0"),
            ("42", Kind::Int, "42"),
            ("-9223372036854775808", Kind::Int, "-9223372036854775808"),
            ("9223372036854775807", Kind::Int, "9223372036854775807"),
            ("9223372036854775808", Kind::Float, "9223372036854776000"),
            ("1.0", Kind::Float, "1"),
            ("-0.0", Kind::Float, "-0"),
            ("1e3", Kind::Float, "1000"),
            ("1.50", Kind::Float, "1.5"),
            ("1E-7", Kind::Float, "0.0000001"),
            ("1e-400", Kind::Float, "0"),
        ] {
            assert!(read(text.as_bytes()).unwrap() == Some(value(kind, canonical)), "{text}");
        }
        assert_eq!(read(b"1e400").err(), Some(OUT_OF_RANGE));
    }

    #[test]
    fn floats_are_printed_as_go_prints_them() {
        for (canonical, printed) in [
            ("1", "1"),
            ("1.5", "1.5"),
            ("-0", "-0"),
            ("0", "0"),
            ("100000000000000000000", "100000000000000000000"),
            ("1000000000000000000000", "1e+21"),
            ("-1500000000000000000000000", "-1.5e+24"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("0.00000000012345", "1.2345e-10"),
        ] {
            assert_eq!(shown(&spelled(&value(Kind::Float, canonical))), printed);
        }
    }

    #[test]
    fn strings_are_read_and_printed_as_go_does() {
        for (raw, text) in [
            (r"plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u00e9\u00E9é", "ééé"),
            (r"\ud83d\ude00", "😀"),
            (r"\ud83d", "\u{FFFD}"),
            (r"\ude00x", "\u{FFFD}x"),
            (r"\ud83d\u0041", "\u{FFFD}A"),
            (r"\ud83d\ud83d\ude00", "\u{FFFD}😀"),
            (r"\u0000", "\0"),
        ] {
            assert!(decode(raw.as_bytes()).expose() == text.as_bytes(), "{raw}");
        }
        assert!(decode(b"a\xFF\xE2\x80b").expose() == "a\u{FFFD}\u{FFFD}\u{FFFD}b".as_bytes());
        for (text, printed) in [
            ("é😀/'\u{7f}", "\"é😀/'\u{7f}\""),
            ("<a>&\"\\", r#""\u003ca\u003e\u0026\"\\""#),
            ("\u{8}\u{c}\n\r\t\u{0}\u{1f}", r#""\b\f\n\r\t\u0000\u001f""#),
            ("\u{2028}x\u{2029}\u{2030}", "\"\\u2028x\\u2029\u{2030}\""),
            ("", "\"\""),
        ] {
            assert_eq!(shown(&spelled(&Plaintext::text(text))), printed);
        }
    }

    #[test]
    fn what_json_cannot_hold_is_named() {
        assert!(check(&value(Kind::Float, "NaN")).is_err());
        assert!(check(&Plaintext::new(Kind::Str, SecretBytes::copy_of(b"\xFF"))).is_err());
        assert!(check(&value(Kind::Float, "1.5")).is_ok());
    }
}
