//! Times in RFC 3339, as Go writes and compares them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

/// A time in RFC 3339 that remembers how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp {
    text: String,
}

/// The text is not a time in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a time in RFC 3339")]
pub struct NotATimestamp;

impl Timestamp {
    /// Reads `2006-01-02T15:04:05Z`, with a fraction and an offset if there are any.
    ///
    /// Strict as Go is: a capital `T` and `Z`, no leap second, no other spelling.
    pub fn parse(text: &str) -> Result<Self, NotATimestamp> {
        if is_rfc3339(text.as_bytes()) { Ok(Self { text: text.to_owned() }) } else { Err(NotATimestamp) }
    }

    /// The time now, in UTC and whole seconds.
    pub fn now() -> Self {
        Self::at(SystemTime::now())
    }

    /// `time`, in UTC and whole seconds; times before 1970 or after 9999 become the nearest of these.
    pub fn at(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs().min(LAST_SECOND);
        let time =
            OffsetDateTime::from_unix_timestamp(seconds as i64).expect("the year is within 1970 to 9999");
        Self { text: time.format(&Rfc3339).expect("such a year has four digits") }
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text as it was written, to be wiped by who needs that.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The text with nanoseconds where there are any: no trailing zeros, `Z` for an offset of nothing.
    pub fn with_nanoseconds(&self) -> String {
        let (whole, fraction, offset) = self.parts();
        let fraction = fraction[..fraction.len().min(NANOSECOND_DIGITS)].trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{whole}{point}{fraction}{offset}")
    }

    /// The text with whole seconds, as the additional data of a MAC has it.
    pub fn with_seconds(&self) -> String {
        let (whole, _, offset) = self.parts();
        format!("{whole}{offset}")
    }

    fn parts(&self) -> (&str, &str, &str) {
        let (whole, rest) = self.text.split_at(SECONDS_LEN);
        let offset_at = rest.find(['Z', '+', '-']).expect("the offset was checked by parse");
        let (fraction, offset) = rest.split_at(offset_at);
        let is_utc = matches!(offset, "+00:00" | "-00:00");
        (whole, fraction.strip_prefix('.').unwrap_or_default(), if is_utc { "Z" } else { offset })
    }
}

const SECONDS_LEN: usize = "2006-01-02T15:04:05".len();
const NANOSECOND_DIGITS: usize = 9;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

fn is_rfc3339(text: &[u8]) -> bool {
    let number = |digits: &[u8]| {
        let all_digits = digits.iter().all(u8::is_ascii_digit);
        all_digits.then(|| digits.iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0')))
    };
    let Some((whole, rest)) = text.split_at_checked(SECONDS_LEN) else { return false };
    let separators = [whole[4], whole[7], whole[10], whole[13], whole[16]];
    if separators != *b"--T::" {
        return false;
    }
    let parts =
        [&whole[..4], &whole[5..7], &whole[8..10], &whole[11..13], &whole[14..16], &whole[17..]].map(number);
    let [Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)] = parts else {
        return false;
    };
    let month = u8::try_from(month).ok().and_then(|month| Month::try_from(month).ok());
    let is_day = month.is_some_and(|month| Date::from_calendar_date(year.into(), month, day as u8).is_ok());
    is_day && hour < 24 && minute < 60 && second < 60 && is_offset(after_fraction(rest))
}

/// What follows the fraction; a point without digits is left standing, and then is no offset.
fn after_fraction(rest: &[u8]) -> &[u8] {
    let Some(digits) = rest.strip_prefix(b".") else { return rest };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 { rest } else { &digits[end..] }
}

fn is_offset(text: &[u8]) -> bool {
    match text {
        b"Z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit())
                && (*h1, *h2) < (b'2', b'4')
                && *m1 < b'6'
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_and_without_its_fraction() {
        let forms = |text| {
            let time = Timestamp::parse(text).unwrap();
            (time.with_nanoseconds(), time.with_seconds())
        };
        let same = |text: &str| (text.to_owned(), text.to_owned());
        assert_eq!(forms("2006-01-02T15:04:05+07:06"), same("2006-01-02T15:04:05+07:06"));
        assert_eq!(forms("2006-01-02T15:04:05.000-00:00"), same("2006-01-02T15:04:05Z"));
        assert_eq!(
            forms("2006-01-02T15:04:05.1200+00:00"),
            ("2006-01-02T15:04:05.12Z".to_owned(), "2006-01-02T15:04:05Z".to_owned())
        );
        assert_eq!(forms("2006-01-02T15:04:05.1234567891Z").0, "2006-01-02T15:04:05.123456789Z");
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "2006-01-02",
            "2006-01-02t15:04:05Z",
            "2006-01-02T15:04:05z",
            "2006-01-02 15:04:05Z",
            "2006-01-02T15:04:05",
            "2006-02-30T15:04:05Z",
            "2006-13-02T15:04:05Z",
            "2006-01-02T24:04:05Z",
            "2006-01-02T15:04:60Z",
            "2006-01-02T15:04:05.Z",
            "2006-01-02T15:04:05,5Z",
            "2006-01-02T15:04:05+24:00",
            "2006-01-02T15:04:05+0100",
            "2006-01-02T15:04:05Z ",
            "2006-01-00T15:04:05Z",
            "é006-01-02T15:04:05Z",
            "2006-01-32T15:04:05Z",
        ] {
            assert_eq!(Timestamp::parse(text), Err(NotATimestamp), "{text}");
        }
    }

    #[test]
    fn the_clock_is_written_in_utc_and_seconds() {
        let time = UNIX_EPOCH + Duration::from_millis(1_767_323_045_900);
        assert_eq!(Timestamp::at(time).as_str(), "2026-01-02T03:04:05Z");
        assert_eq!(Timestamp::at(UNIX_EPOCH - Duration::from_secs(9)).as_str(), "1970-01-01T00:00:00Z");
        let text = Timestamp::now();
        assert_eq!(Timestamp::parse(text.as_str()), Ok(text.clone()));
    }
}
