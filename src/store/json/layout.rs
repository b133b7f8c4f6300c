//! How a file is laid out, and new text in the same layout.

use super::{text, values};
use crate::document::{Document, List, METADATA_KEY, Map, Pair};
use crate::secret::SecretText;
use crate::span::Span;
use crate::store::{Content, Element, Line, PrintError, Style};

/// How maps and lists are laid out.
pub(super) struct Layout<'t> {
    /// The line break between entries; `None` keeps all on one line.
    pub(super) newline: Option<&'static str>,
    /// The blanks before the line on which the text begins.
    base: &'t [u8],
    /// The blanks of one level.
    unit: Vec<u8>,
    /// What stands between a key and its value.
    colon: &'t [u8],
}

impl Layout<'static> {
    /// sops' own layout.
    pub(super) fn of_style(style: Style) -> Self {
        let unit = if style.tabs { vec![b'\t'] } else { vec![b' '; style.indent] };
        Self { newline: Some("\n"), base: b"", unit, colon: b": " }
    }

    /// Everything on one line.
    pub(super) fn one_line() -> Self {
        Self { newline: None, base: b"", unit: Vec::new(), colon: b": " }
    }
}

impl<'t> Layout<'t> {
    /// The layout of a map's entries, for one more of them.
    pub(super) fn of_map(document: &'t Document, map: &Map) -> Self {
        let text = document.bytes();
        let blanks = map.pairs().map(|pair| (pair, blanks_before(text, pair.span.start)));
        let Some((pair, blanks)) = blanks.filter(|(_, blanks)| has_break(blanks)).last() else {
            let colon = map.pairs().next().map_or(&b": "[..], |pair| colon(text, pair));
            return Self { newline: None, base: b"", unit: Vec::new(), colon };
        };
        let base = after_break(blanks);
        let above = indent_of_line(text, map.span.start);
        let unit = base.strip_prefix(above).unwrap_or(base).to_vec();
        Self { newline: Some(break_in(blanks)), base, unit, colon: colon(text, pair) }
    }

    /// The layout of what stands in `map`, which is the value of `pair`, to print that value anew.
    pub(super) fn inside(document: &'t Document, pair: &Pair, map: &Map) -> Self {
        let mut layout = Self::of_map(document, map);
        layout.base = indent_of_line(document.bytes(), pair.span.start);
        layout
    }

    /// The layout of a new value in the place of, or inside, what stands at `offset`.
    pub(super) fn at(document: &'t Document, offset: usize) -> Self {
        let root = &document.branches[0].root;
        let mut layout = Self::of_map(document, root);
        layout.base = indent_of_line(document.bytes(), offset);
        layout
    }

    /// What stands between the comma behind an entry of `map` and the next entry.
    pub(super) fn separator(&self, text: &'t [u8], map: &Map) -> &'t [u8] {
        let starts = map.pairs().filter(|pair| pair.key.name != METADATA_KEY).map(|pair| pair.span.start);
        self.separator_of(text, starts)
    }

    /// As [`Layout::separator`], for a list.
    pub(super) fn separator_in(&self, text: &'t [u8], list: &List) -> &'t [u8] {
        self.separator_of(text, values(list).map(|(_, span)| span.start))
    }

    fn separator_of(&self, text: &'t [u8], starts: impl Iterator<Item = usize>) -> &'t [u8] {
        let mut found: Option<&[u8]> = None;
        for (number, start) in starts.enumerate() {
            let blanks = blanks_before(text, start);
            if has_break(blanks) || (number > 0 && !found.is_some_and(has_break)) {
                found = Some(blanks);
            }
        }
        found.unwrap_or(if self.colon.ends_with(b" ") { b" " } else { b"" })
    }

    /// Begins a line at a level, or puts the blank that stands for it.
    pub(super) fn start_line(&self, out: &mut SecretText, level: usize) {
        if let Some(newline) = self.newline {
            out.push_str(newline);
            out.push(self.base);
            (0..level).for_each(|_| out.push(&self.unit));
        }
    }

    fn separate(&self, out: &mut SecretText, is_first: bool, level: usize) {
        if !is_first {
            out.push_str(if self.newline.is_none() && self.colon.ends_with(b" ") { ", " } else { "," });
        }
        self.start_line(out, level);
    }
}

/// What stands between a key and its value: a colon, and blanks.
fn colon<'t>(text: &'t [u8], pair: &Pair) -> &'t [u8] {
    let between = Span::new(pair.key.span.end, pair.value.span().start).of(text);
    if has_break(between) { b": " } else { between }
}

/// The blanks before `offset`.
pub(super) fn blanks_before(text: &[u8], offset: usize) -> &[u8] {
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let count = text[..offset].iter().rev().take_while(is_blank).count();
    &text[offset - count..offset]
}

fn has_break(blanks: &[u8]) -> bool {
    blanks.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
}

/// The line break in `blanks`, which have one.
fn break_in(blanks: &[u8]) -> &'static str {
    match blanks.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(at) if blanks[at..].starts_with(b"\r\n") => "\r\n",
        Some(at) if blanks[at] == b'\r' => "\r",
        _ => "\n",
    }
}

fn after_break(blanks: &[u8]) -> &[u8] {
    let at = blanks.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
    &blanks[at..]
}

/// The line break a text uses, if it has one.
pub(super) fn line_break(text: &[u8]) -> Option<&'static str> {
    Some(break_in(text))
}

/// The blanks at the start of the line on which `offset` stands.
fn indent_of_line(text: &[u8], offset: usize) -> &[u8] {
    let start = text[..offset].iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
    let line = &text[start..offset];
    let count = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &line[..count]
}

// ---------------------------------------------------------------- printing

/// Appends a value that begins at `level`.
pub(super) fn print(out: &mut SecretText, value: &Content<'_>, layout: &Layout<'_>, level: usize) {
    match value {
        Content::Null => out.push_str("null"),
        Content::Map(lines) => print_map(out, lines, layout, level),
        Content::List(elements) => {
            let mut count = 0;
            out.push_str("[");
            for element in elements {
                let Element::Value(value) = element else { continue };
                layout.separate(out, count == 0, level + 1);
                print(out, value, layout, level + 1);
                count += 1;
            }
            if count > 0 {
                layout.start_line(out, level);
            }
            out.push_str("]");
        }
        Content::Held(_) | Content::Borrowed(_) => {
            text::push_spelled(out, value.value().expect("a scalar has a value"));
        }
    }
}

/// Appends a map that begins at `level`, without its comments.
pub(super) fn print_map(out: &mut SecretText, lines: &[Line<'_>], layout: &Layout<'_>, level: usize) {
    let mut count = 0;
    out.push_str("{");
    for line in lines {
        let Line::Pair(key, value) = line else { continue };
        layout.separate(out, count == 0, level + 1);
        print_pair(out, key, value, layout, level + 1);
        count += 1;
    }
    if count > 0 {
        layout.start_line(out, level);
    }
    out.push_str("}");
}

/// Appends a key and its value; the key stands at `level`.
pub(super) fn print_pair(
    out: &mut SecretText,
    key: &str,
    value: &Content<'_>,
    layout: &Layout<'_>,
    level: usize,
) {
    text::push_quoted(out, key.as_bytes());
    out.push(layout.colon);
    print(out, value, layout, level);
}

/// Whether JSON can hold what is to be printed.
pub(super) fn check_lines(lines: &[Line<'_>]) -> Result<(), PrintError> {
    lines.iter().try_for_each(|line| match line {
        Line::Pair(_, value) => check_content(value),
        Line::Comment(_) => Ok(()),
    })
}

/// As [`check_lines`], for one value.
pub(super) fn check_content(value: &Content<'_>) -> Result<(), PrintError> {
    match value {
        Content::Map(lines) => check_lines(lines),
        Content::List(elements) => elements.iter().try_for_each(|element| match element {
            Element::Value(value) => check_content(value),
            Element::Comment(_) => Ok(()),
        }),
        leaf => leaf.value().map_or(Ok(()), text::check),
    }
}
