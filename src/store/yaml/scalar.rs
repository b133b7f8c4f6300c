//! Scalars of YAML: from spelling to value and back, as go-yaml 3.0.4 does it for sops.
//!
//! Everything here is a pure function. Where a scalar starts and ends is the scanner's business; what its
//! bytes mean, and how a value is written, is decided here.

use std::fmt::{self, Write as _};

use base64::Engine as _;

use crate::document::Chomp;
use crate::secret::{SecretBytes, SecretText};
use crate::value::{Kind, Plaintext};

// ---- what a text means ----

/// What a scalar's text stands for.
pub(crate) enum Resolved {
    /// `null`, `~` or nothing at all.
    Null,
    /// The text itself.
    Str,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A float of 64 bits.
    Float(f64),
    /// A timestamp, in RFC 3339 with nanoseconds, without trailing zeros in the fraction.
    Time(SecretText),
    /// `<<`: as a key the merge of another map, as a value a text.
    Merge,
    /// An integer that needs 64 bits without a sign: it can be read but not sealed.
    TooBig,
}

/// Decides what a plain scalar without a tag means.
pub(crate) fn resolve(plain: &str) -> Resolved {
    if plain == "<<" { Resolved::Merge } else { resolve_word(plain, true) }
}

/// Decides what a scalar with an explicit tag means, whatever its quotes; `tag` is the short form (`!!int`).
///
/// A tag that is unknown here says nothing about the value, which is then a text. `!!binary` is one of
/// them: its text goes through [`decode_binary`].
pub(crate) fn resolve_tagged(tag: &str, text: &str) -> Result<Resolved, TagMismatch> {
    let expected = match tag {
        "" | "!" => return Ok(resolve(text)),
        "!!merge" if text == "<<" => return Ok(Resolved::Merge),
        "!!null" => "null",
        "!!bool" => "bool",
        "!!int" => "int",
        "!!float" => "float",
        "!!timestamp" => "timestamp",
        _ => return Ok(Resolved::Str),
    };
    match (expected, resolve_word(text, expected == "timestamp")) {
        ("null", found @ Resolved::Null)
        | ("bool", found @ Resolved::Bool(_))
        | ("int", found @ (Resolved::Int(_) | Resolved::TooBig))
        | ("float", found @ Resolved::Float(_))
        | ("timestamp", found @ Resolved::Time(_)) => Ok(found),
        ("float", Resolved::Int(whole)) => Ok(Resolved::Float(whole as f64)),
        _ => Err(TagMismatch { expected }),
    }
}

/// The text does not have the type that its tag demands.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the value is not of type {expected}, which its tag demands")]
pub(crate) struct TagMismatch {
    /// The type the tag stands for.
    expected: &'static str,
}

/// The bytes of a `!!binary` scalar: standard base64 with padding, line breaks anywhere.
pub(crate) fn decode_binary(text: &str) -> Result<SecretBytes, BinaryError> {
    let mut packed = SecretText::with_capacity(text.len());
    text.split(['\r', '\n']).for_each(|line| packed.push_str(line));
    let mut bytes = Vec::with_capacity(packed.len());
    // sops: Go's decoder ignores the unused bits of the last character.
    let lenient = base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    let decoded = engine.decode_vec(packed.expose(), &mut bytes);
    let bytes = SecretBytes::new(bytes);
    decoded.map(|()| bytes).map_err(|_| BinaryError)
}

/// A `!!binary` scalar is not base64.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the !!binary value is not valid base64")]
pub(crate) struct BinaryError;

// ---- canonical values ----

/// The value to seal and to hash for a scalar, `None` for null; `text` is the scalar's decoded text.
pub(crate) fn plaintext(resolved: &Resolved, text: &[u8]) -> Result<Option<Plaintext>, NoPlaintext> {
    let (kind, bytes) = match resolved {
        Resolved::Null => return Ok(None),
        Resolved::Str | Resolved::Merge => (Kind::Str, SecretBytes::copy_of(text)),
        Resolved::Bool(value) => (Kind::Bool, boolean(*value)),
        Resolved::Int(value) => (Kind::Int, integer_bytes(*value)),
        Resolved::Float(value) => (Kind::Float, float_bytes(*value)),
        Resolved::Time(time) if offset_is_a_day(time.expose()) => return Err(NoPlaintext::ZoneTooFar),
        Resolved::Time(time) => (Kind::Time, SecretBytes::copy_of(time.expose())),
        Resolved::TooBig => return Err(NoPlaintext::TooBig),
    };
    Ok(Some(Plaintext::new(kind, bytes)))
}

/// A scalar that go-yaml reads but that sops cannot seal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum NoPlaintext {
    /// Needs 64 bits without a sign.
    #[error("the integer is above 9223372036854775807, the largest that can be sealed")]
    TooBig,
    /// Go reads offsets up to `+24:60`, but does not write them.
    #[error("the time zone of the timestamp is a day or more from UTC")]
    ZoneTooFar,
}

// ---- spellings of what is no text ----

/// The spelling that sops gives a bool, number or timestamp; `None` for a text.
///
/// sops: the float 1 becomes `1`, which reads back as an integer. See [`spellings`] for `1.0`.
pub(crate) fn spell(value: &Plaintext) -> Option<SecretText> {
    match value.kind() {
        Kind::Str | Kind::Bytes | Kind::Comment => None,
        Kind::Bool => Some(SecretText::copy_of(if value.expose() == b"True" { b"true" } else { b"false" })),
        Kind::Int | Kind::Time => Some(SecretText::copy_of(value.expose())),
        Kind::Float => Some(float_with_exponent(float_of(value))),
    }
}

/// The spellings a value can be given back in: the one of sops first, then the two usual others of its type.
///
/// | type | second | third |
/// |---|---|---|
/// | bool | `True` | `TRUE` |
/// | int | `0755`, when positive | `0x1ed` |
/// | float | `1.0`, when whole and below 10^15 | `1234567.5`, where sops writes an exponent |
/// | time | `2001-01-01`, at midnight UTC | `2001-12-15 02:59:43.1`, in UTC |
///
/// The second and third, if they are there, read back as the same type and bytes. A text has none.
pub(crate) fn spellings(value: &Plaintext) -> [Option<SecretText>; 3] {
    let first = spell(value);
    let mut second = None;
    let mut third = None;
    match value.kind() {
        Kind::Str | Kind::Bytes | Kind::Comment => {}
        Kind::Bool => {
            let (title, upper): (&[u8], &[u8]) =
                if value.expose() == b"True" { (b"True", b"TRUE") } else { (b"False", b"FALSE") };
            second = Some(SecretText::copy_of(title));
            third = Some(SecretText::copy_of(upper));
        }
        Kind::Int => {
            let number = std::str::from_utf8(value.expose()).ok().and_then(signed_decimal);
            let number = number.expect("an int plaintext is canonical");
            second = (number > 0).then(|| formatted(format_args!("0{number:o}")));
            let sign = if number < 0 { "-" } else { "" };
            third = Some(formatted(format_args!("{sign}0x{:x}", number.unsigned_abs())));
        }
        Kind::Float => {
            let number = float_of(value);
            let is_small_and_whole = number.fract() == 0.0 && number.abs() < 1e15;
            second = is_small_and_whole.then(|| formatted(format_args!("{number}.0")));
            third = number.is_finite().then(|| formatted(format_args!("{number}")));
            third = third.filter(|without| first.as_ref().is_some_and(|f| f.expose() != without.expose()));
        }
        Kind::Time => {
            if let Some(utc) = value.expose().strip_suffix(b"Z") {
                second = utc.strip_suffix(b"T00:00:00").map(SecretText::copy_of);
                let (date, clock) = utc.split_at("2001-12-15".len());
                let mut spaced = SecretText::with_capacity(utc.len());
                spaced.push(date);
                spaced.push(b" ");
                spaced.push(&clock[1..]);
                third = Some(spaced);
            }
        }
    }
    [first, second.filter(|s| reads_back(s, value)), third.filter(|s| reads_back(s, value))]
}

fn reads_back(spelling: &SecretText, value: &Plaintext) -> bool {
    std::str::from_utf8(spelling.expose()).is_ok_and(
        |text| matches!(plaintext(&resolve(text), text.as_bytes()), Ok(Some(read)) if read == *value),
    )
}

fn float_of(value: &Plaintext) -> f64 {
    std::str::from_utf8(value.expose()).ok().and_then(go_float).expect("a float plaintext is canonical")
}

// ---- styles of texts ----

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Style {
    /// Without any quotes.
    Plain,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `|`
    Literal,
}

/// The style that sops chooses for a text, in a flow collection or outside of one.
///
/// A text that is not UTF-8 has no style: it becomes `!!binary` with [`encode_binary`]. The text `<<` is
/// `Plain`, but sops writes `!!merge <<`: without the tag it would be a merge.
///
/// The text can be written in the style that is returned; only a block needs room for its lines, so
/// [`literal_block`] may still decline. Two kinds of text get double quotes where sops chooses otherwise: those
/// of several lines that start with a tab, and those with U+2028 or U+2029 between other characters.
pub(crate) fn normal_style(text: &str, flow: bool) -> Style {
    if is_ordinary_word(text.as_bytes()) {
        return Style::Plain;
    }
    let shape = Shape::of(text);
    let reads_as_text = matches!(resolve(text), Resolved::Str | Resolved::Merge);
    if text.contains('\n') {
        // sops: a block that starts with a tab fails in the library, which loses the value. Quotes keep it.
        let block = !flow && shape.allows_block() && !text.starts_with('\t') && !text.contains(SEPARATORS);
        if block { Style::Literal } else { Style::Double }
    } else if !reads_as_text || is_legacy_word(text) {
        Style::Double
    } else if shape.allows_plain() && !(flow && shape.flow_indicators) {
        Style::Plain
    } else if shape.allows_single() && !shape.text_after_separator {
        Style::Single
    } else {
        Style::Double
    }
}

/// Whether a text is plain at first sight, as most are: letters and digits behind a letter that no special word
/// starts with.
pub(crate) fn is_ordinary_word(text: &[u8]) -> bool {
    let starts_special_word = |byte: u8| b"yYnNtTfFoO".contains(&byte);
    text.first().is_some_and(|&first| first.is_ascii_alphabetic() && !starts_special_word(first))
        && text.iter().all(|&byte| IS_IN_ORDINARY_WORDS[byte as usize])
}

/// A table, for every key and every opened text is looked at.
static IS_IN_ORDINARY_WORDS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"_./@-";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether a scalar in this style reads back as exactly this text.
///
/// It allows more than [`normal_style`] chooses: an emoji without quotes, a tab between single quotes, a
/// literal block with spaces at the ends of its lines. For blocks it assumes that there is room for an
/// indentation digit.
pub(crate) fn can_hold(style: Style, text: &str, flow: bool) -> bool {
    let is_one_readable_line = || text.chars().all(|c| is_readable(c) && !is_line_break(c) && c != BOM);
    match style {
        Style::Double => true,
        Style::Single => is_one_readable_line(),
        Style::Plain => {
            let shape = Shape::of(text);
            let stops_early = shape.block_indicators || flow && shape.flow_stops;
            let blank_at_an_end = text.starts_with(is_blank_char) || text.ends_with(is_blank_char);
            let reads_as_text = matches!(resolve(text), Resolved::Str);
            is_one_readable_line() && reads_as_text && !stops_early && !blank_at_an_end
        }
        Style::Literal => !flow && literal_block(text, 0, 1, "\n").is_some(),
    }
}

/// Whether a text that go-yaml reads as a text gets quotes because YAML 1.1 sees a bool or a base-60 number.
pub(crate) fn is_legacy_word(text: &str) -> bool {
    const OLD_BOOLS: [&str; 16] =
        ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"];
    OLD_BOOLS.contains(&text) || is_base_60(text)
}

/// The text between single quotes; it must be one that [`can_hold`] allows or [`normal_style`] chose them for.
pub(crate) fn single_quoted(text: &str) -> SecretText {
    let mut quoted = SecretText::with_capacity(text.len() + 2);
    quoted.push(b"'");
    for (i, piece) in text.split('\'').enumerate() {
        quoted.push(if i == 0 { b"" } else { b"''" });
        quoted.push_str(piece);
    }
    quoted.push(b"'");
    quoted
}

/// What is escaped between double quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// What go-yaml escapes, which is all that is not in the first 65,536 characters, emoji among it.
    LikeSops,
    /// Only what cannot stand in a text.
    Unreadable,
}

/// The text between double quotes; it holds any text on one line.
pub(crate) fn double_quoted(text: &str, escape: Escape) -> SecretText {
    // sops: the library asks whether the *text* starts with a byte order mark, and then escapes all of it.
    let escape_all = text.starts_with(BOM) && escape == Escape::LikeSops;
    let stays = |c: char| is_printable(c) || escape == Escape::Unreadable && u32::from(c) > 0xFFFF;
    let mut quoted = SecretText::with_capacity(text.len() + 2);
    quoted.push(b"\"");
    for c in text.chars() {
        if !escape_all && stays(c) && !is_line_break(c) && c != '"' && c != '\\' {
            quoted.push_str(c.encode_utf8(&mut [0; 4]));
        } else {
            push_escape(&mut quoted, c);
        }
    }
    quoted.push(b"\"");
    quoted
}

/// A literal block (`|`) that reads back as `text`, from its indicator to its last line break.
///
/// The lines stand at `content_column`, empty lines stay empty. `parent_indent` is the column of the
/// collection the scalar is in, -1 for a document that is just this scalar; it counts only for the
/// indentation digit, which is the true offset. The line break at the end is always there, also when the
/// text has none (`|-`); nothing follows it, so the next line of the document can be appended.
///
/// sops: for a scalar in a list the library writes its configured indent as the digit, even where that is
/// not the offset of the lines, and then cannot read it back.
///
/// `None` when no block can say the text: it is empty, starts with a tab, has characters or line breaks
/// that only escapes can keep, or needs a digit above 9; or when the lines would not be indented. Texts that
/// sops would put in quotes although a block could hold them (spaces at the end of a line, emoji) are
/// written; ask [`normal_style`] for the choice of sops.
pub(crate) fn literal_block(
    text: &str,
    parent_indent: isize,
    content_column: usize,
    line_break: &str,
) -> Option<SecretText> {
    block(text, parent_indent, content_column, line_break, false)
}

/// A folded block (`>`) that reads back as `text`; like [`literal_block`] otherwise.
///
/// No line is ever wrapped: a line of the text is a line of the block, and a line break between two lines
/// that do not start with a blank is doubled, since reading joins such lines.
pub(crate) fn folded_block(
    text: &str,
    parent_indent: isize,
    content_column: usize,
    line_break: &str,
) -> Option<SecretText> {
    block(text, parent_indent, content_column, line_break, true)
}

fn block(
    text: &str,
    parent_indent: isize,
    content_column: usize,
    line_break: &str,
    folded: bool,
) -> Option<SecretText> {
    let is_writable = |c: char| c == '\n' || is_readable(c) && !is_line_break(c) && c != BOM;
    let offset = content_column.checked_sub(parent_indent.max(0).unsigned_abs())?;
    if text.is_empty() || offset == 0 || !text.chars().all(is_writable) {
        return None;
    }
    let chomp = match text.strip_suffix('\n') {
        None => Chomp::Strip,
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => Chomp::Keep,
        Some(_) => Chomp::Clip,
    };
    let mut written = SecretText::with_capacity(text.len() + 2 * content_column + 8);
    written.push(if folded { b">" } else { b"|" });
    if text.starts_with([' ', '\n', '\t']) {
        written.push(&[u8::try_from(offset).ok().filter(|digit| *digit <= 9)? + b'0']);
    }
    written.push(match chomp {
        Chomp::Strip => b"-",
        Chomp::Clip => b"",
        Chomp::Keep => b"+",
    });
    written.push_str(line_break);
    let body = written.len();

    let mut rest = text;
    let mut previous_may_join = false;
    let mut breaks_before = 0;
    while !rest.is_empty() {
        let line = rest.split('\n').next().unwrap_or_default();
        if line.is_empty() {
            breaks_before += 1;
            rest = &rest[1..];
            continue;
        }
        let may_join = !line.starts_with(is_blank_char);
        let joins = folded && previous_may_join && may_join;
        (0..breaks_before + usize::from(joins)).for_each(|_| written.push_str(line_break));
        (0..content_column).for_each(|_| written.push(b" "));
        written.push_str(line);
        written.push_str(line_break);
        previous_may_join = may_join;
        breaks_before = 0;
        rest = &rest[line.len()..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    (0..breaks_before).for_each(|_| written.push_str(line_break));

    let reads_back = decode_block(&written.expose()[body..], content_column, chomp, folded);
    (reads_back.expose() == text.as_bytes()).then_some(written)
}

/// The base64 text of a `!!binary` scalar: one line, or when that is too long lines of 70 characters that all
/// end in a line break. sops writes the first plain, the second as a literal block.
pub(crate) fn encode_binary(bytes: &[u8]) -> SecretText {
    const LINE: usize = 70;
    let mut packed = crate::secret::scratch(bytes.len().div_ceil(3) * 4);
    base64::engine::general_purpose::STANDARD
        .encode_slice(bytes, &mut packed[..])
        .expect("the buffer has the length of the base64");
    let mut text = SecretText::with_capacity(packed.len() + packed.len() / LINE + 1);
    for line in packed.chunks(LINE) {
        text.push(line);
        if packed.len() >= LINE {
            text.push(b"\n");
        }
    }
    text
}

// ---- the text of a scalar in the document ----

/// The text of a plain scalar; `raw` starts with its first character and may hold blanks and line breaks behind
/// its last.
pub(crate) fn decode_plain(raw: &[u8]) -> SecretBytes {
    decode_flow(raw, Style::Plain).expect("only double quotes know escapes")
}

/// The text of a single-quoted scalar; `raw` is what stands between the quotes.
pub(crate) fn decode_single(raw: &[u8]) -> SecretBytes {
    decode_flow(raw, Style::Single).expect("only double quotes know escapes")
}

/// The text of a double-quoted scalar; `raw` is what stands between the quotes.
///
/// sops: the library does not know the escape `\/` of YAML 1.2.
pub(crate) fn decode_double(raw: &[u8]) -> Result<SecretBytes, EscapeError> {
    decode_flow(raw, Style::Double)
}

/// A double-quoted scalar with an escape that cannot be read; `at` is its offset between the quotes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum EscapeError {
    /// No such letter behind the backslash.
    #[error("unknown escape character in a quoted text")]
    Unknown {
        /// Offset of the backslash.
        at: usize,
    },
    /// `\x`, `\u` or `\U` without its 2, 4 or 8 hexadecimal digits.
    #[error("an escape in a quoted text lacks hexadecimal digits")]
    NotHexadecimal {
        /// Offset of the backslash.
        at: usize,
    },
    /// A surrogate, or a number above U+10FFFF.
    #[error("an escape in a quoted text is not a Unicode character")]
    NotACharacter {
        /// Offset of the backslash.
        at: usize,
    },
}

/// Reads the text of a flow scalar: lines are folded, quotes and escapes undone.
fn decode_flow(raw: &[u8], style: Style) -> Result<SecretBytes, EscapeError> {
    // No escape is more than twice as long as its spelling, so this never grows.
    let mut text = Unescaped(SecretText::with_capacity(2 * raw.len()));
    let mut at = 0;
    while at < raw.len() {
        let mut break_is_escaped = false;
        while at < raw.len() && !is_blank(raw[at]) && break_width(&raw[at..]) == 0 {
            match (style, &raw[at..]) {
                (Style::Single, [b'\'', b'\'', ..]) => {
                    text.0.push(b"'");
                    at += 2;
                }
                (Style::Double, [b'\\', rest @ ..]) if break_width(rest) > 0 => {
                    at += 1 + break_width(rest);
                    break_is_escaped = true;
                    break;
                }
                (Style::Double, [b'\\', rest @ ..]) => at += 1 + text.push_unescaped(rest, at)?,
                _ => {
                    text.0.push(&raw[at..=at]);
                    at += 1;
                }
            }
        }

        // Blanks and line breaks: blanks count only if there is no break, the first break only if it is the
        // only one (as a space) or one of the two that are not folded.
        let gap = at;
        let text_before = text.0.len();
        let mut has_break = break_is_escaped;
        let mut becomes_space = false;
        while at < raw.len() {
            let width = break_width(&raw[at..]);
            if width == 0 && !is_blank(raw[at]) {
                break;
            }
            if width > 0 {
                let line_break = value_of_break(&raw[at..at + width]);
                if has_break || line_break != b"\n" {
                    text.0.push(line_break);
                    becomes_space = false;
                } else {
                    becomes_space = true;
                }
                has_break = true;
            }
            at += width.max(1);
        }
        if at == raw.len() && style == Style::Plain {
            text.0.truncate(text_before);
            break;
        }
        if becomes_space {
            text.0.push(b" ");
        } else if !has_break {
            text.0.push(&raw[gap..at]);
        }
    }
    Ok(SecretBytes::copy_of(text.0.expose()))
}

/// The text of a block scalar; `raw` starts behind the header's line break, the lines are indented by
/// `indent` columns.
///
/// It ends with `raw`, or before: at the first line that is not empty and indented less.
pub(crate) fn decode_block(raw: &[u8], indent: usize, chomp: Chomp, folded: bool) -> SecretBytes {
    let mut text = SecretText::with_capacity(raw.len());
    let mut line_break: &[u8] = b"";
    let mut previous_is_more_indented = false;
    let (mut empty_lines, mut at, mut column) = skip_empty_lines(raw, 0, indent);
    while column == indent && at < raw.len() {
        let is_more_indented = is_blank(raw[at]);
        if folded && !previous_is_more_indented && !is_more_indented && line_break == b"\n" {
            if !empty_lines.iter().any(|b| *b != b' ') {
                text.push(b" ");
            }
        } else {
            text.push(line_break);
        }
        push_breaks(&mut text, empty_lines);
        previous_is_more_indented = is_more_indented;

        let length = (at..raw.len()).position(|i| break_width(&raw[i..]) > 0).unwrap_or(raw.len() - at);
        text.push(&raw[at..at + length]);
        at += length;
        let width = break_width(&raw[at..]);
        line_break = value_of_break(&raw[at..at + width]);
        (empty_lines, at, column) = skip_empty_lines(raw, at + width, indent);
    }
    if chomp != Chomp::Strip {
        text.push(line_break);
    }
    if chomp == Chomp::Keep {
        push_breaks(&mut text, empty_lines);
    }
    SecretBytes::copy_of(text.expose())
}

/// Passes empty lines and the next line's indentation: what was passed, where it ends, and in which column.
fn skip_empty_lines(raw: &[u8], start: usize, indent: usize) -> (&[u8], usize, usize) {
    let mut at = start;
    loop {
        let column = raw[at..].iter().take(indent).take_while(|b| **b == b' ').count();
        at += column;
        match break_width(&raw[at..]) {
            0 => return (&raw[start..at], at, column),
            width => at += width,
        }
    }
}

/// Appends the line breaks of a stretch that holds nothing but spaces and line breaks.
fn push_breaks(text: &mut SecretText, empty_lines: &[u8]) {
    let mut at = 0;
    while at < empty_lines.len() {
        let width = break_width(&empty_lines[at..]);
        text.push(value_of_break(&empty_lines[at..at + width]));
        at += width.max(1);
    }
}

/// Text under construction that escapes are added to.
struct Unescaped(SecretText);

impl Unescaped {
    /// Appends the character of the escape whose backslash, at offset `at`, is followed by `rest`; returns
    /// how much of `rest` belongs to it.
    fn push_unescaped(&mut self, rest: &[u8], at: usize) -> Result<usize, EscapeError> {
        let letter = rest.first().copied().ok_or(EscapeError::Unknown { at })?;
        let digits = match letter {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => {
                let (_, text) =
                    ESCAPES.iter().find(|(name, _)| *name == letter).ok_or(EscapeError::Unknown { at })?;
                self.0.push_str(text);
                return Ok(1);
            }
        };
        let digits = rest.get(1..=digits).ok_or(EscapeError::NotHexadecimal { at })?;
        let mut code = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16).ok_or(EscapeError::NotHexadecimal { at })?;
            code = code << 4 | digit;
        }
        let character = char::from_u32(code).ok_or(EscapeError::NotACharacter { at })?;
        self.0.push_str(character.encode_utf8(&mut [0; 4]));
        Ok(1 + digits.len())
    }
}

/// Escapes of one letter. Reading knows them all; writing takes the first that gives the character.
const ESCAPES: [(u8, &str); 18] = [
    (b'0', "\0"),
    (b'a', "\x07"),
    (b'b', "\x08"),
    (b't', "\t"),
    (b'n', "\n"),
    (b'v', "\x0b"),
    (b'f', "\x0c"),
    (b'r', "\r"),
    (b'e', "\x1b"),
    (b'"', "\""),
    (b'\\', "\\"),
    (b'N', "\u{85}"),
    (b'_', "\u{a0}"),
    (b'L', "\u{2028}"),
    (b'P', "\u{2029}"),
    // From here on reading only.
    (b'\t', "\t"),
    (b' ', " "),
    (b'\'', "'"),
];

fn push_escape(quoted: &mut SecretText, c: char) {
    const WRITTEN: usize = 15;
    let mut utf8 = [0; 4];
    let text: &str = c.encode_utf8(&mut utf8);
    if let Some((letter, _)) = ESCAPES[..WRITTEN].iter().find(|(_, escaped)| *escaped == text) {
        quoted.push(&[b'\\', *letter]);
        return;
    }
    let code = u32::from(c);
    let mut out = Formatted(quoted);
    match code {
        0..=0xFF => write!(out, "\\x{code:02X}"),
        0x100..=0xFFFF => write!(out, "\\u{code:04X}"),
        _ => write!(out, "\\U{code:08X}"),
    }
    .expect("a secret text takes everything");
}

// ---- characters ----

const BOM: char = '\u{feff}';

/// Line and paragraph separator, line breaks in YAML 1.1 that stand for themselves.
const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];

/// What go-yaml writes as it is between double quotes.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// What a YAML document may contain at all.
fn is_readable(c: char) -> bool {
    is_printable(c) || matches!(c, '\t' | '\r' | '\u{85}' | BOM | '\u{10000}'..)
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank_char(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Length of the line break at the start of `bytes`, 0 if there is none.
fn break_width(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        [0xC2, 0x85, ..] => 2,
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
        _ => 0,
    }
}

/// What a line break counts as in a value: a line feed, except for the two Unicode separators.
fn value_of_break(line_break: &[u8]) -> &[u8] {
    match line_break.len() {
        0 | 3 => line_break,
        _ => b"\n",
    }
}

/// What the characters of a text forbid. The fields follow libyaml's analysis of scalars.
#[derive(Default)]
struct Shape {
    /// It would not be one plain scalar in block context.
    block_indicators: bool,
    /// libyaml does not trust it as a plain scalar in flow context.
    flow_indicators: bool,
    /// A Unicode separator, a line break for libyaml, has something behind it that would need indentation.
    text_after_separator: bool,
    /// It would really end early, or not start as a plain scalar, in flow context.
    flow_stops: bool,
    special: bool,
    tab: bool,
    line_break: bool,
    space_at_start: bool,
    break_at_start: bool,
    space_at_end: bool,
    break_at_end: bool,
    break_then_space: bool,
    space_then_break: bool,
    is_empty: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self { is_empty: text.is_empty(), ..Self::default() };
        if text.starts_with("---") || text.starts_with("...") {
            shape.forbid_plain();
        }
        let mut previous = None;
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let next = characters.peek().copied();
            let ends_here = next.is_none_or(is_blank_char);
            let is_first = previous.is_none();
            match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                | '`'
                    if is_first =>
                {
                    shape.forbid_plain();
                }
                '-' if is_first && ends_here => shape.forbid_plain(),
                '?' | ':' if is_first && ends_here => shape.forbid_plain(),
                ':' if ends_here => shape.forbid_plain(),
                '#' if previous.is_some_and(|p| is_blank_char(p) || is_line_break(p) || p == '\0') => {
                    shape.forbid_plain();
                }
                ':' => {
                    shape.flow_indicators = true;
                    shape.flow_stops |= is_first;
                }
                ',' | '?' | '[' | ']' | '{' | '}' => {
                    shape.flow_indicators = true;
                    shape.flow_stops = true;
                }
                _ => {}
            }
            shape.tab |= c == '\t';
            shape.text_after_separator |=
                SEPARATORS.contains(&c) && next.is_some_and(|next| !is_line_break(next));
            shape.special |= c != '\t' && !is_printable(c);
            if c == ' ' {
                shape.space_at_start |= is_first;
                shape.space_at_end |= next.is_none();
                shape.break_then_space |= previous.is_some_and(is_line_break);
            } else if is_line_break(c) {
                shape.line_break = true;
                shape.break_at_start |= is_first;
                shape.break_at_end |= next.is_none();
                shape.space_then_break |= previous == Some(' ');
            }
            previous = Some(c);
        }
        shape
    }

    fn forbid_plain(&mut self) {
        self.block_indicators = true;
        self.flow_indicators = true;
        self.flow_stops = true;
    }

    /// In block context; in flow context there must be no flow indicators either.
    fn allows_plain(&self) -> bool {
        let blank_at_an_end =
            self.space_at_start || self.break_at_start || self.space_at_end || self.break_at_end;
        self.allows_single() && !blank_at_an_end && !self.line_break && !self.block_indicators
    }

    fn allows_single(&self) -> bool {
        !(self.break_then_space || self.space_then_break || self.tab || self.special)
    }

    fn allows_block(&self) -> bool {
        !(self.is_empty || self.space_at_end || self.space_then_break || self.special)
    }
}

/// Whether YAML 1.1 reads a number such as `12:30:45` or `1:20.5`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (number, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digit_or_underscore = |b: u8| b.is_ascii_digit() || b == b'_';
    let mut places = number.split(':');
    let leading = places.next().unwrap_or_default();
    leading.starts_with(|c: char| c.is_ascii_digit())
        && leading.bytes().all(is_digit_or_underscore)
        && fraction.bytes().all(is_digit_or_underscore)
        && number.contains(':')
        && places.all(|place| matches!(place.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
}

// ---- numbers ----

/// Resolution of anything but `<<`.
fn resolve_word(text: &str, may_be_time: bool) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        // sops: only here the library asks Go's parser, which lets underscores stand between digits.
        b'.' => go_float(text).map_or(Resolved::Str, Resolved::Float),
        b'0'..=b'9' | b'+' | b'-' => {
            let time = if may_be_time { Moment::from_yaml(text.as_bytes()) } else { None };
            time.map_or_else(|| resolve_number(text), |moment| Resolved::Time(moment.canonical()))
        }
        _ => Resolved::Str,
    }
}

fn resolve_number(text: &str) -> Resolved {
    let stripped = without_underscores(text);
    let plain = stripped.as_ref().map_or(text, as_ascii);
    if let Some(number) = integer(plain) {
        return number;
    }
    if is_decimal_float(plain.as_bytes()) {
        return finite(plain).map_or(Resolved::Str, Resolved::Float);
    }
    // sops: Go's own integers were handled above; here the library also lets a sign follow the prefix (`0b-1`).
    let prefixed = plain.strip_prefix("0b").map(|rest| (rest, 2));
    let prefixed = prefixed.or_else(|| plain.strip_prefix("0o").map(|rest| (rest, 8)));
    prefixed.and_then(|(rest, radix)| signed(rest, radix)).map_or(Resolved::Str, Resolved::Int)
}

/// An integer in Go's notation: base 10, or by prefix 2, 8 or 16; a leading zero alone also means 8.
fn integer(plain: &str) -> Option<Resolved> {
    let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    let (digits, radix) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (&unsigned[2..], 16),
        [b'0', b'o' | b'O', _, ..] => (&unsigned[2..], 8),
        [b'0', b'b' | b'B', _, ..] => (&unsigned[2..], 2),
        [b'0', _, ..] => (&unsigned[1..], 8),
        _ => (unsigned, 10),
    };
    let magnitude = magnitude(digits, radix)?;
    match apply_sign(magnitude, plain.starts_with('-')) {
        Some(number) => Some(Resolved::Int(number)),
        None if unsigned.len() == plain.len() => Some(Resolved::TooBig),
        None => None,
    }
}

fn signed(text: &str, radix: u32) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    apply_sign(magnitude(digits, radix)?, text.starts_with('-'))
}

fn signed_decimal(text: &str) -> Option<i64> {
    signed(text, 10)
}

fn apply_sign(magnitude: u64, negative: bool) -> Option<i64> {
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// A number without sign; `None` if there is no digit, another character, or more than 64 bits.
fn magnitude(digits: &str, radix: u32) -> Option<u64> {
    let mut number = None;
    for c in digits.chars() {
        let digit = u64::from(c.to_digit(radix)?);
        number = Some(number.unwrap_or(0u64).checked_mul(u64::from(radix))?.checked_add(digit)?);
    }
    number
}

/// The library's own idea of a float: digits with at most one dot, and an exponent perhaps.
fn is_decimal_float(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let exponent = text.iter().position(|b| matches!(b, b'e' | b'E'));
    let (mantissa, exponent) = match exponent {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let all_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    let mut parts = mantissa.splitn(2, |b| *b == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    let exponent_is_fine = exponent.is_none_or(|e| {
        let digits = e.strip_prefix(b"-").or_else(|| e.strip_prefix(b"+")).unwrap_or(e);
        !digits.is_empty() && all_digits(digits)
    });
    (!whole.is_empty() || !fraction.is_empty())
        && all_digits(whole)
        && all_digits(fraction)
        && exponent_is_fine
}

/// A decimal float; one that is too large is none, as in Go.
fn finite(decimal: &str) -> Option<f64> {
    decimal.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Go's `ParseFloat`: decimal or hexadecimal, underscores between digits, `inf` and `nan` in any case.
fn go_float(text: &str) -> Option<f64> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let hexadecimal = unsigned.len() > 2 && matches!(unsigned.as_bytes(), [b'0', b'x' | b'X', ..]);
    if !underscores_separate_digits(if hexadecimal { &unsigned[1..] } else { unsigned }, hexadecimal) {
        return None;
    }
    let stripped = without_underscores(text);
    let plain = stripped.as_ref().map_or(text, as_ascii);
    if hexadecimal {
        let digits = &plain[plain.len() - plain.trim_start_matches(['-', '+']).len() + 2..];
        return hexadecimal_float(digits).map(|number| if negative { -number } else { number });
    }
    is_decimal_float(plain.as_bytes()).then(|| finite(plain)).flatten()
}

/// Whether each underscore has a digit on both sides. In hexadecimal the text starts with the `x` of the
/// prefix, which counts as a digit.
fn underscores_separate_digits(text: &str, hexadecimal: bool) -> bool {
    let bytes = text.as_bytes();
    let is_digit =
        |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_digit() || hexadecimal && b.is_ascii_hexdigit());
    bytes.iter().enumerate().filter(|(_, b)| **b == b'_').all(|(i, _)| {
        let before = i.checked_sub(1);
        let follows_prefix = hexadecimal && before == Some(0);
        (follows_prefix || before.is_some_and(|i| is_digit(bytes.get(i)))) && is_digit(bytes.get(i + 1))
    })
}

/// A hexadecimal float behind its `0x`: digits with at most one dot, then `p` and a power of two.
fn hexadecimal_float(text: &str) -> Option<f64> {
    let (digits, power) = text.split_once(['p', 'P'])?;
    let power_digits = power.strip_prefix(['-', '+']).unwrap_or(power);
    if power_digits.is_empty() || !power_digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Far beyond any float, and no danger of overflow.
    let power_size = power_digits.parse().unwrap_or(100_000i64).min(100_000);
    let mut exponent = if power.starts_with('-') { -power_size } else { power_size };

    let (mut mantissa, mut has_more, mut has_digit, mut has_dot) = (0u64, false, false, false);
    for c in digits.chars() {
        if c == '.' && !has_dot {
            has_dot = true;
            continue;
        }
        let digit = u64::from(c.to_digit(16)?);
        has_digit = true;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent -= if has_dot { 4 } else { 0 };
        } else {
            has_more |= digit != 0;
            exponent += if has_dot { 0 } else { 4 };
        }
    }
    if !has_digit {
        return None;
    }
    if mantissa == 0 {
        return Some(0.0);
    }
    exponent -= i64::from(mantissa.leading_zeros());
    mantissa <<= mantissa.leading_zeros();
    // The value is mantissa * 2^exponent with 64 significant bits; a float keeps 53, or fewer near zero.
    let leading = exponent + 63;
    let dropped = 11 + (-1022 - leading).max(0);
    if leading > 1023 {
        return None;
    }
    if dropped > 64 {
        return Some(0.0);
    }
    let (kept, rest) = (u128::from(mantissa) >> dropped, u128::from(mantissa) & ((1 << dropped) - 1));
    let half = 1u128 << (dropped - 1);
    let round_up = rest > half || rest == half && (has_more || kept & 1 == 1);
    let kept = (kept + u128::from(round_up)) as f64;
    Some(kept * power_of_two(exponent + dropped)).filter(|number| number.is_finite())
}

/// 2 to the power of -1074 to 1023.
fn power_of_two(power: i64) -> f64 {
    match u64::try_from(power + 1022) {
        Ok(above_smallest) => f64::from_bits((above_smallest + 1) << 52),
        Err(_) => f64::from_bits(1 << (power + 1074)),
    }
}

fn without_underscores(text: &str) -> Option<SecretText> {
    text.contains('_').then(|| {
        let mut stripped = SecretText::with_capacity(text.len());
        text.split('_').for_each(|piece| stripped.push_str(piece));
        stripped
    })
}

fn as_ascii(text: &SecretText) -> &str {
    std::str::from_utf8(text.expose()).expect("it was taken from a text")
}

fn boolean(value: bool) -> SecretBytes {
    SecretBytes::copy_of(if value { b"True" } else { b"False" })
}

fn integer_bytes(number: i64) -> SecretBytes {
    SecretBytes::copy_of(formatted(format_args!("{number}")).expose())
}

/// Go's `'f', -1`: the shortest digits that read back, never with an exponent.
fn float_bytes(number: f64) -> SecretBytes {
    if number == f64::INFINITY {
        SecretBytes::copy_of(b"+Inf")
    } else if number == f64::NEG_INFINITY {
        SecretBytes::copy_of(b"-Inf")
    } else {
        SecretBytes::copy_of(formatted(format_args!("{number}")).expose())
    }
}

/// Go's `'g', -1`: with an exponent below 10^-4 and from 10^6 on; infinities and NaN as YAML has them.
fn float_with_exponent(number: f64) -> SecretText {
    if number.is_nan() {
        return SecretText::copy_of(b".nan");
    }
    if number.is_infinite() {
        return SecretText::copy_of(if number > 0.0 { b".inf" } else { b"-.inf" });
    }
    let scientific = formatted(format_args!("{number:e}"));
    let (digits, exponent) = as_ascii(&scientific).split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..6).contains(&exponent) {
        return formatted(format_args!("{number}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    formatted(format_args!("{digits}e{sign}{:02}", exponent.unsigned_abs()))
}

/// Formats into a text that wipes itself, where `format!` would leave a copy behind.
fn formatted(arguments: fmt::Arguments<'_>) -> SecretText {
    let mut text = SecretText::with_capacity(32);
    Formatted(&mut text).write_fmt(arguments).expect("a secret text takes everything");
    text
}

struct Formatted<'t>(&'t mut SecretText);

impl fmt::Write for Formatted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        Ok(())
    }
}

// ---- timestamps ----

/// A point in time as it was written, in its own zone.
struct Moment {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
    /// Minutes east of UTC.
    offset: i16,
}

impl Moment {
    /// The four spellings that go-yaml accepts, checked as strictly, and as leniently, as Go's `time.Parse`.
    fn from_yaml(text: &[u8]) -> Option<Self> {
        let mut rest = Fields(text);
        let mut moment = Self::from_date(&mut rest, Fields::one_or_two_digits)?;
        match rest.0 {
            [] => {}
            [b'T' | b't', ..] => {
                rest.0 = &rest.0[1..];
                moment.read_clock(&mut rest, Fields::one_or_two_digits)?;
                moment.offset = rest.zone()?;
            }
            [b' ', ..] => {
                let spaces = rest.0.iter().take_while(|b| **b == b' ').count();
                rest.0 = &rest.0[spaces..];
                moment.read_clock(&mut rest, Fields::one_or_two_digits)?;
            }
            _ => return None,
        }
        rest.0.is_empty().then_some(moment)
    }

    fn from_date<'t>(rest: &mut Fields<'t>, field: fn(&mut Fields<'t>) -> Option<u8>) -> Option<Self> {
        let year = u16::from(rest.two_digits()?) * 100 + u16::from(rest.two_digits()?);
        rest.literal(b'-')?;
        let month = field(rest).filter(|month| (1..=12).contains(month))?;
        rest.literal(b'-')?;
        let day = field(rest)?;
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let moment = Self { year, month, day, hour: 0, minute: 0, second: 0, nanosecond: 0, offset: 0 };
        (1..=days).contains(&day).then_some(moment)
    }

    fn read_clock<'t>(
        &mut self,
        rest: &mut Fields<'t>,
        field: fn(&mut Fields<'t>) -> Option<u8>,
    ) -> Option<()> {
        self.hour = rest.one_or_two_digits().filter(|hour| *hour < 24)?;
        rest.literal(b':')?;
        self.minute = field(rest).filter(|minute| *minute < 60)?;
        rest.literal(b':')?;
        self.second = field(rest).filter(|second| *second < 60)?;
        self.nanosecond = rest.fraction();
        Some(())
    }

    /// RFC 3339 with nanoseconds, as Go formats it.
    fn canonical(&self) -> SecretText {
        let Self { year, month, day, hour, minute, second, nanosecond, offset } = self;
        let mut text = formatted(format_args!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanosecond:09}"
        ));
        let kept = text.expose().iter().rposition(|b| *b != b'0').map_or(0, |last| last + 1);
        text.truncate(if *nanosecond == 0 { kept - 1 } else { kept });
        if *offset == 0 {
            text.push(b"Z");
        } else {
            let sign = if *offset < 0 { '-' } else { '+' };
            let minutes = offset.unsigned_abs();
            let zone = formatted(format_args!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
            text.push(zone.expose());
        }
        text
    }
}

/// What is left to read of a timestamp.
struct Fields<'t>(&'t [u8]);

impl Fields<'_> {
    fn literal(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == expected).then_some(())
    }

    fn two_digits(&mut self) -> Option<u8> {
        let [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] = self.0 else { return None };
        self.0 = rest;
        Some((tens - b'0') * 10 + (ones - b'0'))
    }

    fn one_or_two_digits(&mut self) -> Option<u8> {
        self.two_digits().or_else(|| {
            let [digit @ b'0'..=b'9', rest @ ..] = self.0 else { return None };
            self.0 = rest;
            Some(digit - b'0')
        })
    }

    /// The nanoseconds of a fraction, if there is one; digits beyond the ninth are dropped.
    fn fraction(&mut self) -> u32 {
        let [b'.' | b',', digits @ ..] = self.0 else { return 0 };
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return 0;
        }
        self.0 = &digits[count..];
        let places = digits[..count].iter().map(|b| u32::from(b - b'0')).chain(std::iter::repeat(0));
        places.take(9).fold(0, |nanoseconds, digit| nanoseconds * 10 + digit)
    }

    /// `Z`, or an offset: Go lets it go up to 24 hours and 60 minutes.
    fn zone(&mut self) -> Option<i16> {
        let (sign, rest) = self.0.split_first()?;
        self.0 = rest;
        if *sign == b'Z' {
            return Some(0);
        }
        let hours = self.two_digits().filter(|hours| *hours <= 24)?;
        self.literal(b':')?;
        let minutes = self.two_digits().filter(|minutes| *minutes <= 60)?;
        let offset = i16::from(hours) * 60 + i16::from(minutes);
        match sign {
            b'+' => Some(offset),
            b'-' => Some(-offset),
            _ => None,
        }
    }
}

/// Whether a canonical timestamp has an offset that Go reads but refuses to write.
fn offset_is_a_day(canonical: &[u8]) -> bool {
    matches!(canonical, [.., b'+' | b'-', b'2', b'4'..=b'9', b':', _, _])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of the vector file that start with `what`: the strings behind it.
    fn vectors(what: &str) -> Vec<Vec<String>> {
        let lines = include_str!("../../../testdata/yaml/scalars.txt").lines();
        let strings = |line| serde_json::Deserializer::from_str(line).into_iter().collect::<Result<_, _>>();
        let found = lines.filter_map(|line| line.strip_prefix(what)).map(|line| strings(line).unwrap());
        let found: Vec<Vec<String>> = found.collect();
        assert!(found.len() > 30, "the vector file has {what} lines");
        found
    }

    fn described(value: Result<Option<Plaintext>, NoPlaintext>) -> (String, Vec<u8>) {
        match value {
            Ok(None) => ("null".into(), vec![]),
            Ok(Some(value)) => (value.kind().name().into(), value.expose().to_vec()),
            Err(NoPlaintext::TooBig) => ("big".into(), vec![]),
            Err(NoPlaintext::ZoneTooFar) => ("badtime".into(), vec![]),
        }
    }

    fn canonical(plain: &str) -> (String, Vec<u8>) {
        described(plaintext(&resolve(plain), plain.as_bytes()))
    }

    fn value(kind: Kind, bytes: &str) -> Plaintext {
        Plaintext::new(kind, SecretBytes::copy_of(bytes.as_bytes()))
    }

    fn shown(text: Option<&SecretText>) -> Option<&str> {
        text.map(|text| std::str::from_utf8(text.expose()).unwrap())
    }

    fn all_spellings(kind: Kind, bytes: &str) -> [Option<String>; 3] {
        spellings(&value(kind, bytes)).map(|text| shown(text.as_ref()).map(str::to_owned))
    }

    fn written(style: Style, text: &str, parent_indent: isize, column: usize) -> Vec<u8> {
        match style {
            Style::Plain => text.as_bytes().to_vec(),
            Style::Single => single_quoted(text).expose().to_vec(),
            Style::Double => double_quoted(text, Escape::LikeSops).expose().to_vec(),
            Style::Literal => literal_block(text, parent_indent, column, "\n").unwrap().expose().to_vec(),
        }
    }

    /// Reads what `written` wrote, or the scalar of a vector.
    fn read(scalar: &[u8], indent: usize) -> Option<Vec<u8>> {
        let text = match scalar {
            [b'\'', raw @ .., b'\''] => decode_single(raw),
            [b'"', raw @ .., b'"'] => decode_double(raw).ok()?,
            [b'|' | b'>', ..] => {
                let end = scalar.iter().position(|b| *b == b'\n').unwrap();
                let header = &scalar[1..end];
                let chomp = match (header.contains(&b'-'), header.contains(&b'+')) {
                    (true, _) => Chomp::Strip,
                    (_, true) => Chomp::Keep,
                    _ => Chomp::Clip,
                };
                decode_block(&scalar[end + 1..], indent, chomp, scalar[0] == b'>')
            }
            _ => decode_plain(scalar),
        };
        Some(text.expose().to_vec())
    }

    #[test]
    fn plain_scalars_mean_what_they_mean_to_go_yaml() {
        for vector in vectors("resolve ") {
            let [text, kind, bytes, _] = &vector[..] else { panic!("{vector:?}") };
            assert_eq!(canonical(text), (kind.clone(), bytes.clone().into_bytes()), "{text:?}");
        }
    }

    #[test]
    fn values_are_spelled_as_sops_spells_them() {
        for vector in vectors("resolve ") {
            let [text, kind, _, spelling] = &vector[..] else { panic!("{vector:?}") };
            let Ok(Some(value)) = plaintext(&resolve(text), text.as_bytes()) else { continue };
            let expected = (kind != "str").then_some(spelling.as_str());
            assert_eq!(shown(spell(&value).as_ref()), expected, "{text:?}");
        }
    }

    #[test]
    fn texts_are_written_as_sops_writes_them() {
        for vector in vectors("emit ") {
            let [text, block, flow] = &vector[..] else { panic!("{vector:?}") };
            let tag = if text == "<<" { "!!merge " } else { "" };
            let style = normal_style(text, false);
            let mut document = format!("k: {tag}").into_bytes();
            document.extend(written(style, text, 0, 4));
            if style != Style::Literal {
                document.push(b'\n');
            }
            assert_eq!(String::from_utf8(document).unwrap(), *block, "{text:?}");
            let in_flow = String::from_utf8(written(normal_style(text, true), text, 0, 4)).unwrap();
            assert_eq!(format!("k: [{tag}{in_flow}]\n"), *flow, "{text:?}");
        }
    }

    #[test]
    fn scalars_in_a_document_have_the_text_that_go_yaml_sees() {
        for vector in vectors("decode ") {
            let document = vector[0].strip_prefix("k: ").unwrap();
            let is_block = document.starts_with(['|', '>']);
            let scalar = if is_block { document } else { document.strip_suffix('\n').unwrap() };
            let text = read(scalar.as_bytes(), 2).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(text.as_ref(), vector.get(1), "{document:?}");
        }
    }

    #[test]
    fn the_merge_word_is_neither_text_nor_map_by_itself() {
        assert!(matches!(resolve("<<"), Resolved::Merge));
        assert!(matches!(resolve_tagged("!!merge", "<<"), Ok(Resolved::Merge)));
        assert!(matches!(resolve_tagged("!!str", "<<"), Ok(Resolved::Str)));
        assert_eq!(canonical("<<"), ("str".into(), b"<<".to_vec()));
    }

    #[test]
    fn a_tag_demands_its_type_and_a_whole_number_may_be_a_float() {
        let tagged = |tag, text: &str| {
            resolve_tagged(tag, text).map(|found| described(plaintext(&found, text.as_bytes())))
        };
        assert_eq!(tagged("!!float", "0x10"), Ok(("float".into(), b"16".to_vec())));
        assert_eq!(tagged("!!str", "0x10"), Ok(("str".into(), b"0x10".to_vec())));
        assert_eq!(tagged("!Ref", "0x10"), Ok(("str".into(), b"0x10".to_vec())));
        assert_eq!(tagged("!", "0x10"), Ok(("int".into(), b"16".to_vec())));
        assert_eq!(tagged("!!timestamp", "2001-1-2"), Ok(("time".into(), b"2001-01-02T00:00:00Z".to_vec())));
        assert_eq!(tagged("!!null", ""), Ok(("null".into(), vec![])));
        assert_eq!(tagged("!!int", "9223372036854775808"), Ok(("big".into(), vec![])));
        assert_eq!(tagged("!!int", "1.5"), Err(TagMismatch { expected: "int" }));
        assert_eq!(tagged("!!float", "9223372036854775808"), Err(TagMismatch { expected: "float" }));
        assert_eq!(tagged("!!bool", "yes"), Err(TagMismatch { expected: "bool" }));
    }

    #[test]
    fn binary_is_base64_with_line_breaks_anywhere() {
        let decoded = |text| decode_binary(text).map(|bytes| bytes.expose().to_vec());
        assert_eq!(decoded("//4\n=\r\n"), Ok(vec![0xff, 0xfe]));
        assert_eq!(decoded("//5="), Ok(vec![0xff, 0xfe]), "unused bits are ignored");
        assert_eq!(decoded("//4"), Err(BinaryError));
        assert_eq!(decoded("//4= "), Err(BinaryError));
    }

    #[test]
    fn long_binary_is_broken_after_70_characters() {
        assert_eq!(encode_binary(&[0xff, 0xfe]).expose(), b"//4=");
        let lines = [b"/".repeat(70), b"\n//\n".to_vec()].concat();
        assert_eq!(encode_binary(&[0xff; 54]).expose(), lines);
        assert_eq!(encode_binary(&[0xff; 51]).expose(), b"/".repeat(68));
    }

    #[test]
    fn a_value_has_the_spellings_that_people_use() {
        let some = |spelling: &str| Some(spelling.to_owned());
        assert_eq!(all_spellings(Kind::Bool, "True"), [some("true"), some("True"), some("TRUE")]);
        assert_eq!(all_spellings(Kind::Int, "493"), [some("493"), some("0755"), some("0x1ed")]);
        assert_eq!(all_spellings(Kind::Int, "-493"), [some("-493"), None, some("-0x1ed")]);
        assert_eq!(all_spellings(Kind::Float, "1"), [some("1"), some("1.0"), None]);
        assert_eq!(all_spellings(Kind::Float, "1.5"), [some("1.5"), None, None]);
        assert_eq!(all_spellings(Kind::Float, "1000000.5"), [some("1.0000005e+06"), None, some("1000000.5")]);
        assert_eq!(all_spellings(Kind::Float, "1000000"), [some("1e+06"), some("1000000.0"), None]);
        assert_eq!(all_spellings(Kind::Float, "NaN"), [some(".nan"), None, None]);
        assert_eq!(
            all_spellings(Kind::Time, "2001-01-01T00:00:00Z"),
            [some("2001-01-01T00:00:00Z"), some("2001-01-01"), some("2001-01-01 00:00:00")]
        );
        assert_eq!(
            all_spellings(Kind::Time, "2001-12-15T02:59:43.1Z"),
            [some("2001-12-15T02:59:43.1Z"), None, some("2001-12-15 02:59:43.1")]
        );
        let elsewhere = "2001-12-15T00:00:00+01:00";
        assert_eq!(all_spellings(Kind::Time, elsewhere), [some(elsewhere), None, None]);
        assert_eq!(all_spellings(Kind::Str, "true"), [None, None, None]);
    }

    #[test]
    fn texts_that_sops_loses_get_double_quotes() {
        assert_eq!(normal_style("\ta\nb", false), Style::Double);
        assert_eq!(normal_style("a\u{2028}b", false), Style::Double);
        assert_eq!(normal_style("a\u{2028}b\n", false), Style::Double);
    }

    #[test]
    fn more_styles_can_hold_a_text_than_sops_would_choose() {
        assert!(can_hold(Style::Plain, "😀 yes", false) && can_hold(Style::Plain, "yes", false));
        assert!(can_hold(Style::Plain, "http://x:80", true) && !can_hold(Style::Plain, "a,b", true));
        assert!(!can_hold(Style::Plain, "1", false) && !can_hold(Style::Plain, "a ", false));
        assert!(can_hold(Style::Single, "a\tb ", false) && !can_hold(Style::Single, "a\nb", false));
        assert!(can_hold(Style::Literal, "a \n😀", false) && !can_hold(Style::Literal, "a\nb", true));
        assert!(!can_hold(Style::Literal, "", false) && !can_hold(Style::Literal, "a\rb", false));
    }

    #[test]
    fn the_indentation_digit_is_the_true_offset() {
        let literal = |parent, column| {
            literal_block(" a\n", parent, column, "\n").map(|text| shown(Some(&text)).unwrap().to_owned())
        };
        assert_eq!(literal(4, 6).as_deref(), Some("|2\n       a\n"));
        assert_eq!(literal(-1, 1).as_deref(), Some("|1\n  a\n"));
        assert_eq!(literal(0, 9).unwrap().chars().nth(1), Some('9'));
        assert_eq!(literal(0, 10), None);
        assert_eq!(literal(4, 4), None);
        assert_eq!(literal(-1, 0), None);
        assert!(literal_block("a\n", 0, 10, "\n").is_some(), "no digit is needed");
    }

    #[test]
    fn a_folded_block_doubles_the_breaks_that_reading_joins() {
        let folded = folded_block("a\nb\n c\nd\n\ne", 0, 2, "\r\n").unwrap();
        let expected = ">-\r\n  a\r\n\r\n  b\r\n   c\r\n  d\r\n\r\n\r\n  e\r\n";
        assert_eq!(shown(Some(&folded)), Some(expected));
    }

    #[test]
    fn escapes_that_mean_nothing_are_named_with_their_place() {
        let error = |raw: &[u8]| decode_double(raw).err();
        assert_eq!(error(br"a\/"), Some(EscapeError::Unknown { at: 1 }));
        assert_eq!(error(b"\\"), Some(EscapeError::Unknown { at: 0 }));
        assert_eq!(error(br"\u12"), Some(EscapeError::NotHexadecimal { at: 0 }));
        assert_eq!(error(br"\udfff"), Some(EscapeError::NotACharacter { at: 0 }));
    }

    #[test]
    fn words_of_yaml_1_1_are_known() {
        for word in ["y", "NO", "Off", "1:20", "-1_:5", "1:2:03.4_"] {
            assert!(is_legacy_word(word), "{word}");
        }
        for word in ["yEs", "true", "1:60", "1:", ":1", "1:2:", "1:2x", "_1:2", "1.5", "1:2.3.4"] {
            assert!(!is_legacy_word(word), "{word}");
        }
    }

    const TRICKY: &str =
        "[ab01 \n\t'\"#:,?{}\\[\\]&*!|>%@`<~.=\\\\é\u{85}\u{a0}\u{2028}\u{2029}\u{feff}😀\r\u{1}_+-]{0,12}";

    proptest! {
        #[test]
        fn the_normal_style_gives_the_text_back(text in TRICKY, flow: bool) {
            let style = normal_style(&text, flow);
            let scalar = written(style, &text, 2, 5);
            prop_assert_eq!(read(&scalar, 5), Some(text.clone().into_bytes()));
            prop_assert!(style != Style::Plain || matches!(resolve(&text), Resolved::Str | Resolved::Merge));
        }

        #[test]
        fn each_style_that_can_hold_a_text_gives_it_back(text in TRICKY) {
            for style in [Style::Plain, Style::Single, Style::Double, Style::Literal] {
                if can_hold(style, &text, false) {
                    prop_assert_eq!(read(&written(style, &text, 0, 3), 3), Some(text.clone().into_bytes()));
                }
            }
        }

        #[test]
        fn other_spellings_of_a_number_read_back(number: i64, bits: u64) {
            let float = float_bytes(f64::from_bits(bits));
            for value in [
                Plaintext::new(Kind::Int, integer_bytes(number)),
                Plaintext::new(Kind::Int, integer_bytes(number >> (bits % 64))),
                Plaintext::new(Kind::Float, float),
                Plaintext::new(Kind::Float, float_bytes(number as f64 / 8.0)),
            ] {
                for other in spellings(&value)[1..].iter().flatten() {
                    let (kind, bytes) = canonical(shown(Some(other)).unwrap());
                    prop_assert_eq!((kind.as_str(), bytes.as_slice()), (value.kind().name(), value.expose()));
                }
            }
        }

        #[test]
        fn other_spellings_of_a_time_read_back(day in 1u8..=31, hour in 0u8..24, nanosecond in 0u32..1_000_000_000) {
            for nanosecond in [0, nanosecond] {
                let (year, month, minute, second, offset) = (2024, 1, 0, 0, 0);
                let moment = Moment { year, month, day, hour, minute, second, nanosecond, offset };
                let text = moment.canonical();
                let value = Plaintext::new(Kind::Time, SecretBytes::copy_of(text.expose()));
                let spellings = spellings(&value);
                prop_assert!(spellings[2].is_some());
                for spelling in spellings.iter().flatten() {
                    let (kind, bytes) = canonical(shown(Some(spelling)).unwrap());
                    prop_assert_eq!((kind.as_str(), bytes.as_slice()), ("time", value.expose()));
                }
            }
        }
    }
}
