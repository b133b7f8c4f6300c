//! Reading a scalar from its place, and spelling a value for a place.
//!
//! A sealed value is the text `ENC[…]`, which may stand plain, in single or in double quotes, or in a block:
//! sops reads all of them alike. That choice is used to remember how the value was written, so that opening
//! the file gives the user's own bytes:
//!
//! | the sealed text stands | outside braces the value comes back | inside braces |
//! |---|---|---|
//! | plain | as sops prints it | (not possible) |
//! | in single quotes | text: single-quoted, but plain for what sops would quote without need, such as `no` or an emoji; others: second spelling | text: plain; others: second spelling |
//! | in double quotes | text: double-quoted; others: third spelling | text: double-quoted; others: as sops prints it |
//! | in a block | in that block | (not possible) |
//!
//! A file that sops wrote has them all plain, so it opens to exactly what sops prints.

use super::scalar::{self, Resolved, Style};
use super::scan::break_len;
use super::{end_of_line, ends_line, line_break, start_of_line, without_line_break};
use crate::cipher;
use crate::document::{BlockShape, Branch, Chomp, Document, Layout, Leaf, LeafStyle, Node, Patch, Tag};
use crate::secret::{SecretBytes, SecretText};
use crate::span::Span;
use crate::store::ParseError;
use crate::value::{Kind, Plaintext};

/// Columns per level where a file does not show it.
pub(super) const DEFAULT_INDENT: usize = 4;

// ---------------------------------------------------------------- reading

/// The bytes that a scalar stands for, before they are given a type.
pub(super) fn decode(text: &[u8], leaf: &Leaf) -> Result<SecretBytes, ParseError> {
    let raw = leaf.span.of(text);
    if let Some(content) = written_as_it_is(raw, leaf.style) {
        return Ok(SecretBytes::copy_of(content));
    }
    let decoded = match leaf.style {
        LeafStyle::Plain => scalar::decode_plain(raw),
        LeafStyle::Single => scalar::decode_single(&raw[1..raw.len() - 1]),
        LeafStyle::Double => scalar::decode_double(&raw[1..raw.len() - 1])
            .map_err(|error| ParseError::at(text, leaf.span.start, error.to_string()))?,
        LeafStyle::Block(shape) => {
            let content = &text[shape.content_start..leaf.span.end];
            scalar::decode_block(content, shape.indent, shape.chomp, shape.folded)
        }
    };
    Ok(decoded)
}

/// The content of a scalar on one line that has nothing to decode, as most have.
fn written_as_it_is(raw: &[u8], style: LeafStyle) -> Option<&[u8]> {
    let (content, special) = match style {
        LeafStyle::Plain => (raw, None),
        LeafStyle::Single => (&raw[1..raw.len() - 1], Some(b'\'')),
        LeafStyle::Double => (&raw[1..raw.len() - 1], Some(b'\\')),
        LeafStyle::Block(_) => return None,
    };
    // Line breaks above ASCII start with these bytes.
    let is_special = |byte: u8| matches!(byte, b'\n' | b'\r' | 0xC2 | 0xE2) || Some(byte) == special;
    (!content.iter().any(|&byte| is_special(byte))).then_some(content)
}

/// The value of a scalar; `None` is null.
pub(super) fn read(text: &[u8], leaf: &Leaf) -> Result<Option<Plaintext>, ParseError> {
    let decoded = decode(text, leaf)?;
    if leaf.tag.is_none() && cipher::looks_sealed(decoded.expose()) {
        return Ok(Some(Plaintext::new(Kind::Str, decoded)));
    }
    let resolved = resolve(text, leaf, &decoded)?;
    match resolved {
        Resolved::Str | Resolved::Merge if leaf.tag_name() == Some("!!binary") => {
            let problem = "!!binary value contains invalid base64 data";
            let bytes =
                std::str::from_utf8(decoded.expose()).ok().and_then(|text| scalar::decode_binary(text).ok());
            let bytes = bytes.ok_or_else(|| ParseError::at(text, leaf.span.start, problem))?;
            Ok(Some(Plaintext::new(Kind::Str, bytes)))
        }
        Resolved::Str | Resolved::Merge => Ok(Some(Plaintext::new(Kind::Str, decoded))),
        other => scalar::plaintext(&other, decoded.expose())
            .map_err(|error| ParseError::at(text, leaf.span.start, error.to_string())),
    }
}

fn resolve(text: &[u8], leaf: &Leaf, decoded: &SecretBytes) -> Result<Resolved, ParseError> {
    let Ok(decoded) = std::str::from_utf8(decoded.expose()) else { return Ok(Resolved::Str) };
    match leaf.tag_name() {
        None | Some("!") if leaf.style == LeafStyle::Plain => Ok(scalar::resolve(decoded)),
        None | Some("!") => Ok(Resolved::Str),
        Some(tag) => scalar::resolve_tagged(tag, decoded).map_err(|_| {
            ParseError::at(text, leaf.span.start, format!("the value does not fit its tag {tag}"))
        }),
    }
}

/// Whether the tag of a scalar fits its text.
pub(super) fn check_tag(text: &[u8], leaf: &Leaf) -> Result<(), ParseError> {
    match leaf.tag_name() {
        None | Some("!") => Ok(()),
        Some("!!binary") => read(text, leaf).map(|_| ()),
        Some(_) => resolve(text, leaf, &decode(text, leaf)?).map(|_| ()),
    }
}

// ---------------------------------------------------------------- slots

/// Where the sealed text stands, which is how the spelling of the value is remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Plain,
    Single,
    Double,
}

/// The spelling of `value` that `slot` stands for, when that takes one line; `None` where only a block will do.
fn spelling(value: &Plaintext, slot: Slot, in_flow: bool) -> Option<SecretText> {
    if is_text(value) {
        return match std::str::from_utf8(value.expose()) {
            Ok(text) => text_spelling(text, slot, in_flow),
            Err(_) => Some(binary(value.expose())),
        };
    }
    let [first, second, third] = scalar::spellings(value);
    match (slot, in_flow) {
        (Slot::Plain, _) | (Slot::Double, true) => first,
        (Slot::Single, _) => second.or(first),
        (Slot::Double, false) => third.or(first),
    }
}

/// The spelling of a value in normal form, when that takes one line.
pub(super) fn one_line(value: &Plaintext) -> Option<SecretText> {
    spelling(value, Slot::Plain, false)
}

fn is_text(value: &Plaintext) -> bool {
    matches!(value.kind(), Kind::Str | Kind::Bytes | Kind::Comment)
}

fn text_spelling(text: &str, slot: Slot, in_flow: bool) -> Option<SecretText> {
    let normal = scalar::normal_style(text, in_flow);
    match slot {
        Slot::Double => Some(scalar::double_quoted(text, scalar::Escape::Unreadable)),
        Slot::Single if normal != Style::Plain && scalar::can_hold(Style::Plain, text, in_flow) => {
            Some(SecretText::from(text))
        }
        Slot::Single if !in_flow && scalar::can_hold(Style::Single, text, false) => {
            Some(scalar::single_quoted(text))
        }
        _ => match normal {
            Style::Plain => Some(SecretText::from(text)),
            Style::Single => Some(scalar::single_quoted(text)),
            Style::Double => Some(scalar::double_quoted(text, scalar::Escape::LikeSops)),
            Style::Literal => None,
        },
    }
}

/// Bytes that are not UTF-8, on one line.
fn binary(bytes: &[u8]) -> SecretText {
    let packed = scalar::encode_binary(bytes);
    let mut text = SecretText::from("!!binary ");
    packed.expose().split(|&byte| byte == b'\n').for_each(|line| text.push(line));
    text
}

// ---------------------------------------------------------------- sealing

/// Puts the sealed text in the place of a value.
pub(super) fn seal(patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext, sealed: &str) {
    let text = document.bytes();
    if let LeafStyle::Block(shape) = leaf.style {
        if let Some(tag) = going_tag(text, leaf) {
            patch.replace(tag, "");
        }
        let mut line = SecretText::from(" ".repeat(shape.indent));
        line.push_str(sealed);
        patch.replace(block_content(text, leaf, shape), line);
        return;
    }
    let quoted = match slot_for(text, leaf, value) {
        Slot::Plain => sealed.to_owned(),
        Slot::Single => format!("'{sealed}'"),
        Slot::Double => format!("\"{sealed}\""),
    };
    replace_scalar(patch, text, leaf, quoted.into());
}

/// Puts `replacement` in the place of a scalar that is not a block. A tag that would not fit a sealed text goes.
pub(super) fn replace_scalar(patch: &mut Patch, text: &[u8], leaf: &Leaf, replacement: SecretText) {
    let mut span = leaf.span;
    if let Some(tag) = going_tag(text, leaf) {
        if tag.end == span.start {
            span.start = tag.start;
        } else {
            patch.replace(tag, "");
        }
    }
    // A value that was left out needs a blank before it.
    let glues = text.get(span.end) == Some(&b'#')
        && !matches!(replacement.expose().last(), Some(b'"' | b'\'' | b' '));
    let replacement = if glues {
        // Only quotes may stand directly before a comment.
        let mut spaced = replacement;
        spaced.push_str(" ");
        spaced
    } else {
        replacement
    };
    // An anchor may end directly before a value like `%x`.
    let needs_blank =
        (span.is_empty() || !leaf.in_flow) && span.start > 0 && !text[span.start - 1].is_ascii_whitespace();
    if needs_blank {
        let mut spaced = SecretText::from(" ");
        spaced.push(replacement.expose());
        patch.replace(span, spaced);
    } else {
        patch.replace(span, replacement);
    }
}

/// A tag that would not fit a sealed text, for sops checks these against the text; and what is between it and the
/// value unless a comment is there.
fn going_tag(text: &[u8], leaf: &Leaf) -> Option<Span> {
    let Tag { name, span } = &**leaf.tag.as_ref()?;
    if !matches!(&**name, "!!int" | "!!float" | "!!bool" | "!!null" | "!!timestamp" | "!!binary") {
        return None;
    }
    let between = &text[span.end..leaf.span.start.max(span.end)];
    let end = if between.contains(&b'#') { span.end } else { leaf.span.start };
    Some(Span::new(span.start, end.max(span.start)))
}

/// The slot whose spelling is what stands in the text now; else the one nearest to it.
fn slot_for(text: &[u8], leaf: &Leaf, value: &Plaintext) -> Slot {
    let written = leaf.span.of(text);
    // A plain ENC[…] cannot stand in braces, nor right before a '#' or anything else that is not blank.
    let plain_is_possible = !leaf.in_flow && ends_word(text, leaf.span.end);
    let slots: &[Slot] = if plain_is_possible {
        &[Slot::Plain, Slot::Single, Slot::Double]
    } else {
        &[Slot::Double, Slot::Single]
    };
    let spelled_like =
        |slot: &Slot| spelling(value, *slot, leaf.in_flow).is_some_and(|s| s.expose() == written);
    if let Some(slot) = slots.iter().copied().find(spelled_like) {
        return slot;
    }
    match leaf.style {
        LeafStyle::Double if is_text(value) => Slot::Double,
        LeafStyle::Single if is_text(value) && (leaf.in_flow || plain_is_remembered(value)) => Slot::Double,
        LeafStyle::Single if is_text(value) => Slot::Single,
        _ if plain_is_possible => Slot::Plain,
        _ if is_text(value) && leaf.in_flow => Slot::Single,
        _ => Slot::Double,
    }
}

/// Whether single quotes around the sealed text would say that this text stood without quotes.
fn plain_is_remembered(value: &Plaintext) -> bool {
    std::str::from_utf8(value.expose()).is_ok_and(|text| {
        scalar::normal_style(text, false) != Style::Plain && scalar::can_hold(Style::Plain, text, false)
    })
}

fn ends_word(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|byte| byte.is_ascii_whitespace()) || break_len(&text[at..]) > 0
}

// ---------------------------------------------------------------- blocks

/// The part of a block that holds its value: all lines below the header, without the break after the last.
fn block_content(text: &[u8], leaf: &Leaf, shape: BlockShape) -> Span {
    let mut end = match shape.chomp {
        Chomp::Strip | Chomp::Clip => shape.content_end,
        Chomp::Keep => leaf.span.end.max(shape.content_start),
    };
    if shape.chomp == Chomp::Keep {
        for len in [1, 2, 3] {
            let start = end.saturating_sub(len);
            if start >= shape.content_start && break_len(&text[start..end]) == len {
                end = start;
                if len == 1 && start > shape.content_start && text[start] == b'\n' && text[start - 1] == b'\r'
                {
                    end -= 1;
                }
                break;
            }
        }
    }
    Span::new(shape.content_start, end)
}

/// Whether the leaf is the last thing of a text without a last line break, the metadata aside.
fn ends_open_text(document: &Document, leaf: &Leaf) -> bool {
    let text = document.bytes();
    let metadata = document.branches.last().and_then(Branch::metadata);
    let end = metadata.map_or(text.len(), |pair| pair.span.start);
    !ends_line(text) && leaf.span.end <= end && text[leaf.span.end..end].trim_ascii().is_empty()
}

/// A block for a text: its header, and its lines without the last line break.
pub(super) struct NewBlock {
    pub(super) header: SecretText,
    pub(super) lines: SecretText,
    pub(super) chomp: Chomp,
}

impl NewBlock {
    /// A literal (or folded) block at `column`; `None` when no block can hold the text.
    pub(super) fn of(
        value: &[u8],
        parent: isize,
        column: usize,
        newline: &str,
        folded: bool,
    ) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let build = if folded { scalar::folded_block } else { scalar::literal_block };
        let block = build(text, parent, column, newline)?;
        let block = block.expose();
        let header_len = block.windows(newline.len()).position(|window| window == newline.as_bytes())?;
        let lines = &block[header_len + newline.len()..];
        let lines = lines.strip_suffix(newline.as_bytes()).unwrap_or(lines);
        let chomp = match block[..header_len].last() {
            Some(b'-') => Chomp::Strip,
            Some(b'+') => Chomp::Keep,
            _ => Chomp::Clip,
        };
        let header = SecretText::copy_of(&block[..header_len]);
        Some(Self { header, lines: SecretText::copy_of(lines), chomp })
    }

    /// Whether the block, its content at `column`, means the same when its last line ends at `end`: what follows
    /// there could be read as part of it.
    fn stays_itself(&self, document: &Document, leaf: &Leaf, end: usize, column: usize) -> bool {
        let text = document.bytes();
        if self.chomp != Chomp::Strip && ends_open_text(document, leaf) {
            return false;
        }
        let mut at = end + break_len(&text[end..]);
        while at < text.len() {
            let mut metadata = document.branches.iter().filter_map(Branch::metadata);
            if let Some(pair) = metadata.find(|pair| start_of_line(text, pair.span.start) == at) {
                at = end_of_line(text, pair.span.end.max(at + 1)); // goes away
                continue;
            }
            let next = end_of_line(text, at + 1);
            let line = without_line_break(&text[at..next]);
            let indentation = line.iter().take_while(|&&byte| byte == b' ').count();
            if !line.trim_ascii().is_empty() {
                return indentation < column;
            }
            if self.chomp == Chomp::Keep || indentation > column {
                return false;
            }
            at = next;
        }
        true
    }

    /// Whether these lines mean the same below a header that is in the text already.
    fn fits(&self, document: &Document, leaf: &Leaf, shape: BlockShape, value: &[u8]) -> bool {
        let at_open_end = ends_open_text(document, leaf);
        let breaks_fit = match shape.chomp {
            Chomp::Strip => self.chomp == Chomp::Strip,
            Chomp::Clip if at_open_end => self.chomp == Chomp::Strip,
            Chomp::Clip => self.chomp == Chomp::Clip,
            Chomp::Keep => {
                let end = block_content(document.bytes(), leaf, shape).end;
                self.chomp != Chomp::Strip && self.stays_itself(document, leaf, end, shape.indent)
            }
        };
        let first_line_is_indented = matches!(value.iter().find(|&&byte| byte != b'\n'), Some(b' ' | b'\t'));
        breaks_fit && (shape.explicit_indent || !first_line_is_indented)
    }
}

// ---------------------------------------------------------------- opening

/// Puts an opened value in the place of its sealed text.
pub(super) fn open(patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext) {
    let text = document.bytes();
    if value.kind() == Kind::Comment {
        return open_list_comment(patch, text, leaf, value);
    }
    let slot = match leaf.style {
        LeafStyle::Plain => Slot::Plain,
        LeafStyle::Single => Slot::Single,
        LeafStyle::Double => Slot::Double,
        LeafStyle::Block(shape) => return open_block(patch, document, leaf, shape, value),
    };
    match spelling(value, slot, leaf.in_flow) {
        Some(spelled) => replace_scalar(patch, text, leaf, spelled),
        None => open_as_new_block(patch, document, leaf, value),
    }
}

/// sops writes a sealed comment of a list as an element; opened, it is a comment again.
fn open_list_comment(patch: &mut Patch, text: &[u8], leaf: &Leaf, value: &Plaintext) {
    let before = text[..leaf.span.start].trim_ascii_end();
    let start = if before.ends_with(b"-") { before.len() - 1 } else { leaf.span.start };
    let mut comment = SecretText::from("#");
    comment.push(value.expose());
    if leaf.ends_empty_list {
        comment.push_str(line_break(text));
        comment.push_str(&" ".repeat(super::tree::column_of(text, start)));
        comment.push_str("[]");
    }
    patch.replace(Span::new(start, leaf.span.end), comment);
}

fn open_block(patch: &mut Patch, document: &Document, leaf: &Leaf, shape: BlockShape, value: &Plaintext) {
    let text = document.bytes();
    let bytes = value.expose();
    let newline = line_break(text);
    let content = block_content(text, leaf, shape);
    if is_text(value) {
        let block = NewBlock::of(bytes, shape.parent_indent, shape.indent, newline, shape.folded);
        if let Some(block) = block.filter(|block| block.fits(document, leaf, shape, bytes)) {
            return patch.replace(content, block.lines);
        }
    }
    // The header does not fit the value any more: header and content anew.
    let span = Span::new(leaf.span.start, content.end);
    let header_end =
        leaf.span.start + text[leaf.span.start..].iter().take_while(|b| b.is_ascii_graphic()).count();
    let header_line_end = without_line_break(&text[..shape.content_start]).len();
    // Quotes must be deeper than their key, a block's header need not be.
    let before = start_of_line(text, leaf.span.start);
    let is_too_shallow = text[before..leaf.span.start].iter().all(|&byte| byte == b' ')
        && ((leaf.span.start - before) as isize) <= shape.parent_indent;
    let on_one_line = |patch: &mut Patch, spelled: SecretText| {
        let mut line = SecretText::default();
        if is_too_shallow {
            line.push_str(&" ".repeat((shape.parent_indent + 1).unsigned_abs()));
        }
        line.push(spelled.expose());
        if header_end < header_line_end {
            // A comment behind the header stays, and has its own replacement.
            patch.replace(Span::new(leaf.span.start, header_end), line);
            patch.replace(Span::new(header_line_end, content.end.max(header_line_end)), "");
        } else {
            patch.replace(span, line);
        }
    };
    match spelling(value, Slot::Plain, false) {
        Some(spelled) => on_one_line(patch, spelled),
        None => match NewBlock::of(bytes, shape.parent_indent, shape.indent, newline, false) {
            Some(block) if block.stays_itself(document, leaf, content.end, shape.indent) => {
                if header_end < header_line_end {
                    patch.replace(Span::new(leaf.span.start, header_end), block.header);
                    patch.replace(content, block.lines);
                } else {
                    let mut whole = block.header;
                    whole.push_str(newline);
                    whole.push(block.lines.expose());
                    patch.replace(span, whole);
                }
            }
            _ => on_one_line(patch, quoted(bytes)),
        },
    }
}

/// Writes a text of several lines as a literal block where a one-line scalar stands.
fn open_as_new_block(patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext) {
    let text = document.bytes();
    let newline = line_break(text);
    let parent = leaf.parent_indent.max(0).unsigned_abs();
    let column = if leaf.in_list { parent + 2 } else { next_level(parent, indent_of(document)) };
    let block = NewBlock::of(value.expose(), leaf.parent_indent, column, newline, false);
    let line_end = end_of_line(text, leaf.span.end);
    let break_at = without_line_break(&text[..line_end]).len();
    let fits = |block: &NewBlock| ends_line(text) && block.stays_itself(document, leaf, break_at, column);
    let Some(block) = block.filter(fits) else {
        return replace_scalar(patch, text, leaf, quoted(value.expose()));
    };
    let mut content = SecretText::from(newline);
    content.push(block.lines.expose());
    if text[leaf.span.end..break_at].trim_ascii().is_empty() {
        let mut whole = block.header;
        whole.push(content.expose());
        patch.replace(Span::new(leaf.span.start, break_at), whole);
    } else {
        // A comment stands behind the value: it stays behind the header.
        patch.replace(leaf.span, block.header);
        patch.replace(Span::at(break_at), content);
    }
}

pub(super) fn quoted(bytes: &[u8]) -> SecretText {
    let double = |text| scalar::double_quoted(text, scalar::Escape::LikeSops);
    std::str::from_utf8(bytes).map_or_else(|_| binary(bytes), double)
}

/// The next column of a level of `indent` columns behind `column`: go-yaml rounds up to whole levels.
pub(super) fn next_level(column: usize, indent: usize) -> usize {
    indent * ((column + indent) / indent)
}

/// Columns per level of a sealed file: what its metadata shows.
pub(super) fn indent_of(document: &Document) -> usize {
    let metadata = document.branches.first().and_then(Branch::metadata);
    match metadata.map(|pair| (&pair.value, pair)) {
        Some((Node::Map(map), pair)) => match map.layout {
            Layout::Block { column } => {
                let outer = super::tree::column_of(document.bytes(), pair.span.start);
                column.saturating_sub(outer).clamp(2, 9)
            }
            _ => DEFAULT_INDENT,
        },
        _ => DEFAULT_INDENT,
    }
}
