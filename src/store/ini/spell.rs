//! How values, keys and comments are written.

use super::parse::{
    self, DEFAULT, MOVED, Shape, end_of_line, key_name, marker_len, shape, skip_blanks, start_of_line,
    value_of,
};
use crate::document::{Comment, CommentPart, Document, Leaf, Patch};
use crate::secret::SecretText;
use crate::span::Span;
use crate::value::{Plaintext, as_text};

/// Behind a sealed text: it comes back as it was written, not as sops would print it. sops passes over what stands
/// behind the bracket of a sealed text.
const AS_WRITTEN: u8 = b'`';

/// The line break the text uses.
pub(super) fn line_break(text: &[u8]) -> &'static str {
    match text.iter().position(|&byte| byte == b'\n') {
        Some(at) if at > 0 && text[at - 1] == b'\r' => "\r\n",
        _ => "\n",
    }
}

fn within(quote: &str, value: &[u8]) -> SecretText {
    let mut raw = SecretText::with_capacity(value.len() + 2 * quote.len());
    raw.push_str(quote);
    raw.push(value);
    raw.push_str(quote);
    raw
}

/// Whether a value written like this is read as `value`, and nothing else is read with it.
fn reads_back(raw: &[u8], value: &[u8]) -> bool {
    let mut text = SecretText::with_capacity(raw.len() + 5);
    text.push(raw);
    text.push(b"\nx=y\n");
    let text = text.expose();
    let read = parse::value(text, 0, end_of_line(text, 0));
    read.is_ok_and(|read| {
        let written = read.span.of(text);
        written == raw
            && read.comment.is_none()
            && read.unseen.is_none()
            && read.next_line == raw.len() + 1
            && value_of(written).expose() == value
    })
}

/// How sops prints a value, or, where sops would not read that as it was, in quotes that hold it. `None` when none do.
pub(super) fn spelled(value: &[u8]) -> Option<SecretText> {
    let quotes = [sops_quote(value), "`", "\"\"\"", "\"", "'", ""];
    let mut spelled = quotes.into_iter().map(|quote| within(quote, value));
    spelled.find(|raw| reads_back(raw.expose(), value))
}

/// SOPS 3.13: the quotes around a value.
fn sops_quote(value: &[u8]) -> &'static str {
    let has = |wanted: &[u8]| value.iter().any(|byte| wanted.contains(byte));
    if has(b"\n`") {
        "\"\"\""
    } else if has(b"#;") {
        "`"
    } else if parse::trimmed(value, Span::new(0, value.len())).len() != value.len() {
        "\""
    } else {
        ""
    }
}

fn spelled_or_plain(value: &[u8]) -> SecretText {
    spelled(value).unwrap_or_else(|| within(sops_quote(value), value))
}

/// A value in the quotes that stand around `raw`, where they hold it.
pub(super) fn spelled_like(raw: &[u8], value: &[u8]) -> SecretText {
    let quote = shape(raw).quote();
    let like = within(quote, value);
    let fits = !quote.is_empty() && reads_back(like.expose(), value);
    if fits { like } else { spelled_or_plain(value) }
}

/// Puts the sealed form of a value in its place.
pub(super) fn seal(patch: &mut Patch, document: &Document, leaf: &Leaf, sealed: &str) {
    let text = document.bytes();
    let raw = leaf.span.of(text);
    let mut written = SecretText::with_capacity(sealed.len() + 8);
    match shape(raw) {
        Shape::Bare | Shape::Continued => {
            written.push_str(sealed);
            let comes_back = spelled(raw).is_some_and(|spelled| spelled.expose() == raw);
            if shape(raw) == Shape::Bare && !comes_back {
                written.push(&[AS_WRITTEN]);
            }
        }
        quoted => {
            written.push_str(quoted.quote());
            written.push_str(sealed);
            let behind = &text[leaf.span.end..end_of_line(text, leaf.span.end)];
            if raw.contains(&b'\n') && behind.iter().any(|byte| matches!(byte, b'#' | b';')) {
                // sops sees a comment behind closing quotes only if they stand on another line than the opening ones.
                written.push_str("\n");
            }
            written.push_str(quoted.quote());
        }
    }
    patch.replace(leaf.span, written);
}

/// Puts a value in the place of its sealed form.
pub(super) fn open(patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext) {
    let value = as_text(Some(value));
    let raw = leaf.span.of(document.bytes());
    let as_written = raw.ends_with(&[AS_WRITTEN]) && shape(raw) == Shape::Bare;
    let written = match as_written && reads_back(value.expose(), value.expose()) {
        true => value,
        false => spelled_like(raw, value.expose()),
    };
    patch.replace(leaf.span, written);
}

/// How a key is written so that it is read as it is. `None` when that cannot be.
pub(super) fn spelled_key(key: &str) -> Option<String> {
    let quote = match key {
        _ if key.contains(['"', '=', ':']) => "`",
        _ if key.contains('`') => "\"\"\"",
        _ => "",
    };
    let reads_back = |written: &String| {
        let line = format!("{written} = x\n");
        let starts_like_a_key = !line.starts_with(['#', ';', '[']) && !line.starts_with(char::is_whitespace);
        let is_one_line = line.find('\n') == Some(line.len() - 1);
        let read = key_name(line.as_bytes()).ok().filter(|_| starts_like_a_key && is_one_line);
        read.is_some_and(|(name, behind)| {
            &line[name.start..name.end] == key && key != "-" && behind == written.len() + 2
        })
    };
    [quote, "`", "\"\"\"", "\""].into_iter().map(|quote| format!("{quote}{key}{quote}")).find(reads_back)
}

/// The header of a section, when its name can be read back. `is_first`: nothing stands before it.
pub(super) fn spelled_header(name: &str, is_first: bool) -> Option<String> {
    match name {
        "" => None,
        DEFAULT if is_first => Some(String::new()),
        _ => (!name.contains('\n')).then(|| format!("[{name}]")),
    }
}

// ---------------------------------------------------------------- comments

/// Whose comment it is: sops prints the two in slightly different ways.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Section,
    Key,
}

/// SOPS 3.13: the lines of a comment, without line breaks.
pub(super) fn comment_lines(comment: &[u8], owner: Owner) -> Vec<SecretText> {
    let lines = comment.split(|&byte| byte == b'\n').map(|line| {
        let trimmed =
            |line: &[u8]| SecretText::copy_of(parse::trimmed(line, Span::new(0, line.len())).of(line));
        let (marker, rest) = match line {
            // sops: crashes.
            [] => (b';', SecretText::default()),
            [marker @ (b'#' | b';'), rest @ ..] => (*marker, trimmed(rest)),
            _ if owner == Owner::Section => (b';', SecretText::copy_of(line)),
            _ => (b';', trimmed(line)),
        };
        let mut written = SecretText::with_capacity(rest.len() + 2);
        written.push(&[marker, b' ']);
        written.push(rest.expose());
        written
    });
    lines.collect()
}

/// What surrounds a comment in the text.
struct Surroundings<'t> {
    text: &'t [u8],
    line_start: usize,
    /// Where the line has its first character.
    first: usize,
}

impl<'t> Surroundings<'t> {
    fn of(text: &'t [u8], comment: &Comment) -> Self {
        let at = comment.span.start;
        let line_start = start_of_line(text, at);
        Self { text, line_start, first: skip_blanks(text, line_start, at) }
    }

    fn is_own_line(&self) -> bool {
        matches!(self.text.get(self.first), Some(b'#' | b';'))
    }

    fn is_behind_header(&self) -> bool {
        self.text.get(self.first) == Some(&b'[')
    }

    /// The first character of the next line that is neither blank nor a comment.
    fn below(&self) -> usize {
        let mut at = self.line_start;
        while at < self.text.len() {
            let end = end_of_line(self.text, at);
            let first = skip_blanks(self.text, at, end);
            if first < end && !matches!(self.text[first], b'#' | b';') {
                return first;
            }
            at = end;
        }
        at
    }

    fn owner(&self) -> Owner {
        if self.text.get(self.below()) == Some(&b'[') { Owner::Section } else { Owner::Key }
    }

    /// What stands in the place of the comment behind the header below, if that was moved.
    fn moved_from_header(&self) -> Option<Span> {
        let header = self.below();
        if self.text.get(header) != Some(&b'[') {
            return None;
        }
        let end = end_of_line(self.text, header);
        let close = header + self.text[header..end].iter().rposition(|&byte| byte == b']')?;
        let marker = skip_blanks(self.text, close + 1, end);
        let start = marker + marker_len(&self.text[marker..end]);
        let place = Span::new(start, parse::trimmed_end(self.text, start, end));
        (place.of(self.text) == MOVED).then_some(place)
    }
}

/// Puts the sealed form of a comment in its place.
pub(super) fn seal_comment(patch: &mut Patch, document: &Document, comment: &Comment, sealed: &str) {
    let text = document.bytes();
    let around = Surroundings::of(text, comment);
    let mut written = SecretText::copy_of(sealed.as_bytes());
    if around.is_behind_header() && !comment_is_filed_away(comment) {
        // The brackets of a sealed text would end the name of the section: it stands above the header.
        if comment.part == CommentPart::Whole {
            let line = format!("; {sealed}{}", line_break(text));
            patch.replace(Span::at(around.line_start), line);
        }
        return patch.replace(comment.span, SecretText::copy_of(MOVED));
    }
    if comment.part == CommentPart::Whole && !comment.unseen && around.is_own_line() {
        let exact = &text[around.first..comment.span.end];
        let lines = comment_lines(comment.span.of(text), around.owner());
        let is_as_sops_prints = &text[around.first..comment.span.start] == b"; ";
        if is_as_sops_prints && lines[0].expose() != exact {
            written.push(&[AS_WRITTEN]);
        }
    }
    patch.replace(comment.span, written);
}

/// Whether the comment belongs to nothing, so that sops drops it.
fn comment_is_filed_away(comment: &Comment) -> bool {
    comment.unseen && comment.part == CommentPart::Whole
}

/// Puts a comment in the place of its sealed form.
pub(super) fn open_comment(patch: &mut Patch, document: &Document, comment: &Comment, value: &[u8]) {
    let text = document.bytes();
    let as_it_is = |patch: &mut Patch| patch.replace(comment.span, SecretText::copy_of(value));
    let others = match comment.part {
        CommentPart::First { others, .. } => others,
        CommentPart::Whole if !comment.unseen => 0,
        _ => return as_it_is(patch),
    };
    let around = Surroundings::of(text, comment);
    let lines: Vec<&[u8]> = value.split(|&byte| byte == b'\n').collect();
    let trimmed = |line: &[u8]| SecretText::copy_of(&line[..parse::trimmed_end(line, 0, line.len())]);
    if others > 0 {
        let moved = around.moved_from_header();
        if lines.len() == others + 1 {
            patch.replace(comment.span, trimmed(lines[0]));
            if let (Some(place), Some(last)) = (moved, lines.last()) {
                patch.replace(place, trimmed(&last[marker_len(last)..]));
            }
            return;
        }
        if let (Some(place), 1, [line]) = (moved, others, &lines[..]) {
            patch.replace(Span::new(around.line_start, end_of_line(text, around.line_start)), "");
            return patch.replace(place, SecretText::copy_of(line));
        }
    }
    let as_written = comment.span.of(text).ends_with(&[AS_WRITTEN]);
    if lines.len() == 1 && (as_written || !around.is_own_line()) {
        return as_it_is(patch);
    }
    let before = if around.is_own_line() { &text[around.first..comment.span.start] } else { b"" };
    if lines.len() == 1 && before != b"; " {
        return as_it_is(patch);
    }
    // As sops prints it.
    let indent = &text[around.line_start..around.first];
    let mut written = SecretText::default();
    for (number, line) in comment_lines(value, around.owner()).iter().enumerate() {
        if number > 0 {
            written.push_str(line_break(text));
            written.push(indent);
        }
        written.push(line.expose());
    }
    if around.is_own_line() {
        patch.replace(Span::new(around.first, comment.span.end), written);
    } else {
        // Several lines cannot stand behind a value.
        written.push_str(line_break(text));
        patch.replace(Span::at(around.first), written);
        patch.replace(comment.span, "");
    }
}
