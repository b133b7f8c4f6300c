//! YAML as sops reads it, without reformatting.
//!
//! `scan` and `parse` read the text; `tree` arranges nodes and comments the way sops does; `alias` writes out
//! aliases, which sealed files cannot have; `scalar` knows what scalars mean and how they are spelled; `spell`
//! chooses a spelling in its place; `emit` prints new text in go-yaml's normal form; `edit` sets and removes
//! values.

mod alias;
mod edit;
mod emit;
#[cfg(test)]
mod oracle;
mod parse;
mod scalar;
mod scan;
mod spell;
mod tree;

use super::{Content, Edit, EditError, Format, Line, ParseError, PrintError, Store, Style};
use crate::document::{
    Branch, Chomp, Document, Entry, Item, Layout, Leaf, LeafStyle, METADATA_KEY, Map, Node, Pair, Patch,
};
use crate::key_path::TreePath;
use crate::secret::SecretText;
use crate::span::Span;
use crate::value::{Plaintext, Tree};

/// The YAML store.
pub struct Yaml;

impl Store for Yaml {
    fn format(&self) -> Format {
        Format::Yaml
    }

    fn parse(&self, text: SecretText) -> Result<Document, ParseError> {
        match tree::read(as_utf8(text)?)? {
            tree::Read::Document(document) => Ok(document),
            tree::Read::Aliased(text) => match tree::read(text)? {
                tree::Read::Document(document) => Ok(Document { aliases_expanded: true, ..document }),
                tree::Read::Aliased(text) => {
                    Err(ParseError::at(text.expose(), 0, "aliases could not be written out"))
                }
            },
        }
    }

    fn read(&self, document: &Document, leaf: &Leaf) -> Result<Option<Plaintext>, ParseError> {
        spell::read(document.bytes(), leaf)
    }

    fn written(&self, _document: &Document, leaf: &Leaf) -> Option<Span> {
        let Span { start, end } = leaf.span;
        match leaf.style {
            _ if leaf.tag.is_some() => None,
            LeafStyle::Plain => Some(leaf.span),
            LeafStyle::Single | LeafStyle::Double => Some(Span::new(start + 1, end - 1)),
            LeafStyle::Block(_) => None,
        }
    }

    fn seal_leaf(
        &self,
        patch: &mut Patch,
        document: &Document,
        leaf: &Leaf,
        value: &Plaintext,
        sealed: &str,
    ) {
        spell::seal(patch, document, leaf, value, sealed);
    }

    fn open_leaf(&self, patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext) {
        spell::open(patch, document, leaf, value);
    }

    fn metadata(&self, document: &Document) -> Result<Option<Tree>, ParseError> {
        let pair = document.branches.first().and_then(Branch::metadata);
        pair.map(|pair| emit::tree_of(document, &pair.value)).transpose()
    }

    fn write_metadata(&self, document: &Document, metadata: &Tree, style: Style) -> Patch {
        let mut patch = Patch::new();
        for branch in &document.branches {
            match branch.metadata() {
                Some(pair) => replace_metadata(&mut patch, document, branch, pair, metadata, style),
                None => append_metadata(&mut patch, document, branch, metadata, style),
            }
        }
        patch
    }

    fn update_metadata(&self, document: &Document, fields: &[(&str, &str)]) -> Option<Patch> {
        let mut patch = Patch::new();
        for branch in &document.branches {
            let Node::Map(metadata) = &branch.metadata()?.value else { return None };
            for (name, value) in fields {
                let Node::Leaf(leaf) = &metadata.pair(name)?.value else { return None };
                spell::open(&mut patch, document, leaf, &Plaintext::text(value));
            }
        }
        Some(patch)
    }

    fn remove_metadata(&self, document: &Document) -> Patch {
        let mut patch = Patch::new();
        for branch in &document.branches {
            if branch.metadata().is_some() {
                remove_branch_metadata(&mut patch, document, branch);
            }
        }
        patch
    }

    fn set(&self, document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
        edit::set(document, path, value)
    }

    fn unset(&self, document: &Document, path: &TreePath) -> Result<Patch, EditError> {
        edit::unset(document, path)
    }

    fn print_file(&self, roots: &[Vec<Line<'_>>], style: Style) -> Result<SecretText, PrintError> {
        Ok(emit::print_file(roots, style))
    }

    fn print_value(&self, value: &Content<'_>) -> Result<SecretText, PrintError> {
        Ok(emit::print_value(value))
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }
}

/// The text as UTF-8; go-yaml takes UTF-16 with a byte order mark too.
fn as_utf8(text: SecretText) -> Result<SecretText, ParseError> {
    let unit: fn([u8; 2]) -> u16 = match text.expose() {
        [0xFF, 0xFE, ..] => u16::from_le_bytes,
        [0xFE, 0xFF, ..] => u16::from_be_bytes,
        _ => return Ok(text),
    };
    let mut decoded = SecretText::with_capacity(text.len());
    let (pairs, rest) = text.expose()[2..].as_chunks::<2>();
    for character in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        let character = character.ok().filter(|_| rest.is_empty());
        let character =
            character.ok_or_else(|| ParseError::at(text.expose(), 0, "the text is not valid UTF-16"))?;
        decoded.push_str(character.encode_utf8(&mut [0; 4]));
    }
    Ok(decoded)
}

/// SOPS 3.13: what `edit` offers for a file that does not exist yet.
const EXAMPLE: &str = "\
hello: Welcome to SOPS! Edit this file as you please!
example_key: example_value
# Example comment
example_array:
    - example_value1
    - example_value2
example_number: 1234.56789
example_booleans:
    - true
    - false
";

/// The line break the text uses.
fn line_break(text: &[u8]) -> &'static str {
    match text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(at) if text[at..].starts_with(b"\r\n") => "\r\n",
        // Between other breaks it could become half of one.
        Some(at) if text[at] == b'\r' && !text.contains(&b'\n') => "\r",
        _ => "\n",
    }
}

/// Whether `text` ends in a line break.
fn ends_line(text: &[u8]) -> bool {
    last_break(text) > 0
}

/// `text` without the line break at its end.
fn without_line_break(text: &[u8]) -> &[u8] {
    &text[..text.len() - last_break(text)]
}

/// Length of the line break at the end of `text`.
fn last_break(text: &[u8]) -> usize {
    match text {
        [.., b'\r', b'\n'] => 2,
        [.., b'\r' | b'\n'] => 1,
        [.., 0xC2, 0x85] => 2,
        [.., 0xE2, 0x80, 0xA8 | 0xA9] => 3,
        _ => 0,
    }
}

/// Where the line starts on which `offset` stands; a byte order mark is not part of a line.
fn start_of_line(text: &[u8], offset: usize) -> usize {
    let line = (1..=offset).rev().find(|&end| ends_line(&text[..end])).unwrap_or(0);
    line.max(content_start(text))
}

/// The start of the line below `offset`; `offset` itself when it stands at the start of a line already.
fn end_of_line(text: &[u8], offset: usize) -> usize {
    if ends_line(&text[..offset]) {
        return offset;
    }
    let line_break = (offset..text.len()).find(|&at| scan::break_len(&text[at..]) > 0);
    line_break.map_or(text.len(), |at| at + scan::break_len(&text[at..]))
}

/// Where the content starts: behind a byte order mark.
fn content_start(text: &[u8]) -> usize {
    if text.starts_with(scan::BOM) { scan::BOM.len() } else { 0 }
}

fn append_metadata(patch: &mut Patch, document: &Document, branch: &Branch, metadata: &Tree, style: Style) {
    let text = document.bytes();
    match branch.root.layout {
        Layout::Flow => {
            let mut entry = SecretText::default();
            let at = match branch.root.pairs().last() {
                Some(last) => {
                    entry.push_str(", ");
                    last.span.end
                }
                None => branch.root.span.start + 1,
            };
            emit::flow_pair(&mut entry, METADATA_KEY, metadata);
            if text.get(at) == Some(&b'#') {
                entry.push_str(" "); // the comment stays one
            }
            patch.replace(Span::at(at), entry);
        }
        Layout::Block { .. } | Layout::Absent => {
            if branch.root.layout == Layout::Absent && !branch.root.span.is_empty() {
                // A document that says `null`: the word goes, with its line if it has one to itself.
                let span = branch.root.span;
                let line_end = end_of_line(text, span.end).min(branch.end).max(span.end);
                let alone = start_of_line(text, span.start) == span.start
                    && text[span.end..line_end].trim_ascii().is_empty();
                let end = if alone { line_end } else { span.end };
                patch.replace(Span::new(span.start, end), "");
            }
            let column = match branch.root.layout {
                Layout::Block { column } => column,
                _ => 0,
            };
            let at = branch.end;
            let newline = line_break(text);
            let mut entry = SecretText::default();
            let line_is_open = at > content_start(text) && !ends_line(&text[..at]);
            if line_is_open {
                entry.push_str(newline);
            }
            emit::block_pair(&mut entry, METADATA_KEY, metadata, column, style, newline);
            if line_is_open && at == text.len() {
                // A text without a last line break gets none: that is how opening it again knows.
                entry.truncate(entry.len() - newline.len());
            }
            patch.replace(Span::at(at), entry);
        }
    }
}

fn replace_metadata(
    patch: &mut Patch,
    document: &Document,
    branch: &Branch,
    pair: &Pair,
    metadata: &Tree,
    style: Style,
) {
    let text = document.bytes();
    let mut entry = SecretText::default();
    match branch.root.layout {
        Layout::Flow => emit::flow_pair(&mut entry, METADATA_KEY, metadata),
        _ => {
            let newline = line_break(text);
            let column = tree::column_of(text, pair.span.start);
            emit::block_pair(&mut entry, METADATA_KEY, metadata, column, style, newline);
            // The first line's indentation is in the text already; so is the last line break, unless the last
            // value is a block, which takes it along.
            let first = entry.expose().iter().take_while(|&&byte| byte == b' ').count();
            let mut trimmed = SecretText::copy_of(&entry.expose()[first..]);
            if !ends_line(&text[..pair.span.end]) {
                trimmed.truncate(trimmed.len() - newline.len());
            }
            entry = trimmed;
        }
    }
    patch.replace(pair.span, entry);
}

fn remove_branch_metadata(patch: &mut Patch, document: &Document, branch: &Branch) {
    let text = document.bytes();
    let root = &branch.root;
    let pair = branch.metadata().expect("the caller found metadata");
    let others = root.pairs().filter(|other| other.span != pair.span).count();
    match root.layout {
        Layout::Flow => {
            let before = root.pairs().take_while(|other| other.span != pair.span).last();
            let after = root.pairs().find(|other| other.span.start > pair.span.start);
            let span = match (before, after) {
                (Some(before), _) => Span::new(before.span.end, pair.span.end),
                (None, Some(after)) => Span::new(pair.span.start, after.span.start),
                (None, None) => pair.span,
            };
            patch.replace(span, "");
        }
        _ => {
            let start = start_of_line(text, pair.span.start);
            let end = end_of_line(text, pair.span.end);
            // Blank lines below the metadata would become part of a block that keeps all of its own.
            let keeps =
                root.pairs().take_while(|other| other.span != pair.span).last().is_some_and(ends_in_keep);
            let end = if keeps && text[end..].trim_ascii().is_empty() { text.len() } else { end };
            let at_open_end = end == text.len() && !ends_line(text);
            let is_marked = || {
                let mut lines = text[..start].split(|byte| matches!(byte, b'\n' | b'\r'));
                document.branches.len() > 1 || lines.any(|line| line.starts_with(b"---"))
            };
            if others == 0 && !(has_comments(root) && is_marked()) {
                // sops: a document with nothing in it is printed as an empty map. Comments alone are none.
                patch.replace(Span::new(start, end), format!("{{}}{}", line_break(text)));
            } else if at_open_end {
                patch.replace(Span::new(without_line_break(&text[..start]).len(), end), "");
            } else {
                patch.replace(Span::new(start, end), "");
            }
        }
    }
}

/// Whether the last value below `pair` is a block that keeps the line breaks behind it.
fn ends_in_keep(pair: &Pair) -> bool {
    let mut node = &pair.value;
    loop {
        let last = match node {
            Node::Leaf(leaf) => {
                return matches!(leaf.style, LeafStyle::Block(shape) if shape.chomp == Chomp::Keep);
            }
            Node::Map(map) => map.pairs().last().map(|pair| &pair.value),
            Node::List(list) => list.items.iter().rev().find_map(|item| match item {
                Item::Value { node, .. } => Some(node),
                Item::Comment(_) => None,
            }),
        };
        let Some(last) = last else { return false };
        node = last;
    }
}

fn has_comments(map: &Map) -> bool {
    map.entries.iter().any(|entry| matches!(entry, Entry::Comment(_)))
}
