//! What TOML's scalars mean, and how they are spelled.

use std::fmt::Write as _;

use toml_parser::Raw;
use toml_parser::decoder::{Encoding, ScalarKind, StringBuilder};

use crate::secret::{SecretBytes, SecretText};
use crate::store::PrintError;
use crate::timestamp::Timestamp;
use crate::value::{Kind, Plaintext};

/// The smallest float has 326 characters: growing would leave a copy behind.
const LONGEST_NUMBER: usize = 352;

/// Decoded text, which is wiped.
struct Decoded(SecretText);

impl StringBuilder<'_> for Decoded {
    fn clear(&mut self) {
        self.0.truncate(0);
    }

    fn push_str(&mut self, text: &str) -> bool {
        self.0.push_str(text);
        true
    }

    fn push_char(&mut self, character: char) -> bool {
        self.0.push_str(character.encode_utf8(&mut [0; 4]));
        true
    }
}

fn encoding(raw: &[u8]) -> Option<Encoding> {
    Some(match raw {
        [b'"', b'"', b'"', ..] => Encoding::MlBasicString,
        [b'\'', b'\'', b'\'', ..] => Encoding::MlLiteralString,
        [b'"', ..] => Encoding::BasicString,
        [b'\'', ..] => Encoding::LiteralString,
        _ => return None,
    })
}

/// What is wrong with a scalar, and at which byte of it.
type Problem = (usize, String);

/// Whether a scalar has a value.
pub(super) fn check(raw: &[u8]) -> Result<(), Problem> {
    if encoding(raw).is_some() { decode(raw, &mut ()).map(|_| ()) } else { read(raw).map(|_| ()) }
}

fn decode<'r>(raw: &'r [u8], output: &mut dyn StringBuilder<'r>) -> Result<ScalarKind, Problem> {
    let text =
        std::str::from_utf8(raw).map_err(|error| (error.valid_up_to(), "this is not UTF-8".to_owned()))?;
    let span = toml_parser::Span::new_unchecked(0, raw.len());
    let mut error: Option<toml_parser::ParseError> = None;
    let kind = Raw::new_unchecked(text, encoding(raw), span).decode_scalar(output, &mut error);
    match error {
        Some(error) => {
            let at = error.unexpected().or(error.context()).map_or(0, |span| span.start().min(raw.len()));
            Err((at, error.description().to_owned()))
        }
        None => Ok(kind),
    }
}

/// The value of a scalar. Dates and times without an offset are text: what they mean depends on who reads them.
pub(super) fn read(raw: &[u8]) -> Result<Plaintext, Problem> {
    let mut decoded = Decoded(SecretText::with_capacity(raw.len()));
    let kind = decode(raw, &mut decoded)?;
    let refused = |problem: &str| (0, problem.to_owned());
    let text = std::str::from_utf8(decoded.0.expose()).map_err(|_| refused("this is not UTF-8"))?;
    let mut canonical = SecretText::with_capacity(LONGEST_NUMBER);
    let kind = match kind {
        ScalarKind::String => return Ok(Plaintext::new(Kind::Str, decoded.0.into_bytes())),
        ScalarKind::Boolean(value) => {
            canonical.push_str(if value { "True" } else { "False" });
            Kind::Bool
        }
        ScalarKind::Integer(radix) => {
            let number = i64::from_str_radix(text, radix.value());
            let number =
                number.map_err(|_| refused("this integer is out of range: TOML has those of 64 bits"))?;
            push_number(&mut canonical, &number);
            Kind::Int
        }
        ScalarKind::Float => {
            match text {
                "inf" | "+inf" => canonical.push_str("+Inf"),
                "-inf" => canonical.push_str("-Inf"),
                "nan" | "+nan" | "-nan" => canonical.push_str("NaN"),
                _ => {
                    let number: f64 = text.parse().map_err(|_| refused("this is no number"))?;
                    if number.is_infinite() {
                        return Err(refused("this number is out of range: no float is so large"));
                    }
                    push_number(&mut canonical, &number);
                }
            }
            Kind::Float
        }
        ScalarKind::DateTime => {
            return read_time(raw).ok_or_else(|| refused("there is no such date or time"));
        }
    };
    Ok(Plaintext::new(kind, canonical.into_bytes()))
}

fn push_number(out: &mut SecretText, number: &dyn std::fmt::Display) {
    struct Sink<'o>(&'o mut SecretText);
    impl std::fmt::Write for Sink<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.push_str(text);
            Ok(())
        }
    }
    write!(Sink(out), "{number}").expect("a text takes whatever is written");
}

/// A date, a time, or both.
fn read_time(raw: &[u8]) -> Option<Plaintext> {
    let text = std::str::from_utf8(raw).ok()?;
    let as_written = |_| Plaintext::text(text);
    if text.as_bytes().get(2) == Some(&b':') {
        return time_of("2000-01-01", text, "Z").map(as_written);
    }
    let date = text.get(..10)?;
    let rest = &text[10..];
    if rest.is_empty() {
        return time_of(date, "00:00:00", "Z").map(as_written);
    }
    let time = rest.strip_prefix(['T', 't', ' '])?;
    let offset_at = time.find(['Z', 'z', '+', '-']);
    let (time, offset) = time.split_at(offset_at.unwrap_or(time.len()));
    match time_of(date, time, if offset == "z" { "Z" } else { offset }) {
        Some(Some(canonical)) if !offset.is_empty() => Some(Plaintext::new(Kind::Time, canonical)),
        None if offset.is_empty() => time_of(date, time, "Z").map(as_written),
        other => other.map(as_written),
    }
}

/// A time in RFC 3339 as Go prints it; `None` for a leap second, which Go does not know. TOML 1.1: seconds can be left
/// out.
fn time_of(date: &str, time: &str, offset: &str) -> Option<Option<SecretBytes>> {
    let of = |time: &[&str]| {
        let mut text =
            SecretText::with_capacity(LONGEST_NUMBER + time.iter().map(|part| part.len()).sum::<usize>());
        [&[date, "T"], time, &[offset]].concat().into_iter().for_each(|part| text.push_str(part));
        let read = Timestamp::parse(std::str::from_utf8(text.expose()).ok()?).ok()?;
        let canonical = SecretBytes::new(read.with_nanoseconds().into_bytes());
        // Wiped, as the text was.
        drop(SecretBytes::new(read.into_text().into_bytes()));
        Some(canonical)
    };
    if time.len() == 5 {
        return of(&[time, ":00"]).map(Some);
    }
    match time.get(..6).zip(time.get(6..8)).zip(time.get(8..)) {
        Some(((minutes, "60"), fraction)) => of(&[minutes, "59", fraction]).map(|_| None),
        _ => of(&[time]).map(Some),
    }
}

// ---------------------------------------------------------------- spelling

fn refused(problem: &str) -> PrintError {
    PrintError { format: "TOML", problem: problem.to_owned() }
}

/// Whether TOML can hold a value.
pub(super) fn check_value(value: &Plaintext) -> Result<(), PrintError> {
    match std::str::from_utf8(value.expose()) {
        Ok(_) => Ok(()),
        Err(_) => Err(refused(
            "bytes that are not UTF-8; they can be had as they are with --output-type binary or --extract",
        )),
    }
}

/// A value on one line.
pub(super) fn spelled(value: &Plaintext) -> SecretText {
    let mut out = SecretText::with_capacity(value.expose().len() + 8);
    push_spelled(&mut out, value);
    out
}

/// Appends a value on one line.
pub(super) fn push_spelled(out: &mut SecretText, value: &Plaintext) {
    let bytes = value.expose();
    match value.kind() {
        Kind::Bool => out.push_str(if bytes == b"True" { "true" } else { "false" }),
        Kind::Int => out.push(bytes),
        Kind::Float => match bytes {
            b"+Inf" => out.push_str("inf"),
            b"-Inf" => out.push_str("-inf"),
            b"NaN" => out.push_str("nan"),
            _ => {
                out.push(bytes);
                if !bytes.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
                    out.push_str(".0");
                }
            }
        },
        Kind::Time if read(bytes).is_ok_and(|read| read.kind() == Kind::Time && read.expose() == bytes) => {
            out.push(bytes);
        }
        Kind::Str | Kind::Bytes | Kind::Time | Kind::Comment => push_quoted(out, bytes),
    }
}

/// Appends a text in double quotes.
pub(super) fn push_quoted(out: &mut SecretText, text: &[u8]) {
    out.push_str("\"");
    push_escaped(out, text, false);
    out.push_str("\"");
}

/// Appends a text of several lines in three double quotes each.
pub(super) fn push_lines(out: &mut SecretText, text: &[u8]) {
    out.push_str("\"\"\"\n");
    push_escaped(out, text, true);
    out.push_str("\"\"\"");
}

fn push_escaped(out: &mut SecretText, text: &[u8], keeps_lines: bool) {
    let mut done = 0;
    for (at, &byte) in text.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' if keeps_lines => continue,
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0C => b"\\f",
            0..0x20 | 0x7F => {
                let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
                out.push(&text[done..at]);
                out.push(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
                done = at + 1;
                continue;
            }
            _ => continue,
        };
        out.push(&text[done..at]);
        out.push(escape);
        done = at + 1;
    }
    out.push(&text[done..]);
}

/// A key, in quotes where it needs them.
pub(super) fn spelled_key(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(is_bare) {
        return key.to_owned();
    }
    let mut out = SecretText::default();
    push_quoted(&mut out, key.as_bytes());
    String::from_utf8_lossy(out.expose()).into_owned()
}

/// Several keys with dots in between.
pub(super) fn spelled_path(keys: &[String]) -> String {
    keys.iter().map(|key| spelled_key(key)).collect::<Vec<_>>().join(".")
}

/// Whether a comment can have this text.
pub(super) fn holds_comment(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && !text.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_the_kinds_of_the_sops_format() {
        for (raw, kind, canonical) in [
            ("'a\\b'", Kind::Str, "a\\b"),
            ("\"a\\tb\\u00e9\\e\"", Kind::Str, "a\tb\u{e9}\u{1b}"),
            ("'''\na\n'''", Kind::Str, "a\n"),
            ("\"\"\"a \\\n   b\"\"\"", Kind::Str, "a b"),
            ("+1_000", Kind::Int, "1000"),
            ("-0", Kind::Int, "0"),
            ("0xDEAD_beef", Kind::Int, "3735928559"),
            ("0o755", Kind::Int, "493"),
            ("0b1010", Kind::Int, "10"),
            ("-9223372036854775808", Kind::Int, "-9223372036854775808"),
            ("1.0", Kind::Float, "1"),
            ("6.626e-3", Kind::Float, "0.006626"),
            ("1e3", Kind::Float, "1000"),
            ("-inf", Kind::Float, "-Inf"),
            ("+nan", Kind::Float, "NaN"),
            ("true", Kind::Bool, "True"),
            ("1979-05-27T07:32:00Z", Kind::Time, "1979-05-27T07:32:00Z"),
            ("1979-05-27 07:32:00.50-07:00", Kind::Time, "1979-05-27T07:32:00.5-07:00"),
            ("1979-05-27t07:32z", Kind::Time, "1979-05-27T07:32:00Z"),
            ("1990-12-31T23:59:60Z", Kind::Str, "1990-12-31T23:59:60Z"),
            ("1979-05-27T07:32:00", Kind::Str, "1979-05-27T07:32:00"),
            ("1979-05-27", Kind::Str, "1979-05-27"),
            ("07:32:00.999", Kind::Str, "07:32:00.999"),
        ] {
            let value = read(raw.as_bytes()).unwrap_or_else(|error| panic!("{raw}: {error:?}"));
            assert_eq!(
                (value.kind(), String::from_utf8_lossy(value.expose()).as_ref()),
                (kind, canonical),
                "{raw}"
            );
        }
        for raw in [
            "9223372036854775808",
            "0x1FFFFFFFFFFFFFFFF",
            "1e400",
            "2024-02-30",
            "25:00:00",
            "01",
            "1__0",
            "tru",
            "\"\\q\"",
        ] {
            assert!(check(raw.as_bytes()).is_err(), "{raw}");
        }
    }

    #[test]
    fn what_is_spelled_is_read_as_it_was() {
        for (kind, canonical) in [
            (Kind::Str, "a\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}é🔑'"),
            (Kind::Float, "1"),
            (Kind::Float, "-0"),
            (Kind::Float, "+Inf"),
            (Kind::Float, "NaN"),
            (Kind::Float, "0.000001"),
            (Kind::Float, "100000000000000000000000"),
            (Kind::Int, "-12"),
            (Kind::Bool, "False"),
            (Kind::Time, "2001-12-14T21:59:43.1+05:00"),
        ] {
            let value = Plaintext::new(kind, SecretBytes::copy_of(canonical.as_bytes()));
            assert!(read(spelled(&value).expose()).unwrap() == value, "{canonical}");
        }
        let mut lines = SecretText::default();
        push_lines(&mut lines, b"\"\"\"a\n\nb\\\r\n");
        assert_eq!(read(lines.expose()).unwrap().expose(), b"\"\"\"a\n\nb\\\r\n");
    }
}
