//! YAML as sops reads it, without reformatting.
//!
//! [`scan`] and [`parse`] read the text; [`tree`] arranges nodes and comments the way sops does; [`alias`] writes
//! out aliases, which sealed files cannot have; [`scalar`] knows what scalars mean and how they are spelled;
//! [`spell`] chooses a spelling in its place; [`emit`] prints new text in go-yaml's normal form; [`edit`] sets and
//! removes values.

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

use super::{Edit, EditError, ParseError, Store, Style};
use crate::document::{Branch, Document, Entry, Layout, Leaf, METADATA_KEY, Map, Node, Pair, Patch};
use crate::key_path::TreePath;
use crate::secret::SecretText;
use crate::span::Span;
use crate::value::{Plaintext, Tree};

/// The YAML store.
pub struct Yaml;

impl Store for Yaml {
    fn parse(&self, text: SecretText) -> Result<Document, ParseError> {
        match tree::read(text)? {
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

    fn reprint(&self, document: &Document, style: Style) -> Result<SecretText, ParseError> {
        emit::reprint(document, style)
    }

    fn print_value(&self, document: &Document, node: &Node) -> Result<SecretText, ParseError> {
        emit::print_value(document, node)
    }

    fn print_map(&self, document: &Document, node: &Node, style: Style) -> Result<SecretText, ParseError> {
        emit::print_map(document, node, style)
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }
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
    match text.iter().position(|&byte| byte == b'\n') {
        Some(at) if at > 0 && text[at - 1] == b'\r' => "\r\n",
        _ => "\n",
    }
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
            patch.replace(Span::at(at), entry);
        }
        Layout::Block { .. } | Layout::Absent => {
            if branch.root.layout == Layout::Absent && !branch.root.span.is_empty() {
                patch.replace(branch.root.span, ""); // a document that says `null`
            }
            let column = match branch.root.layout {
                Layout::Block { column } => column,
                _ => 0,
            };
            let at = branch.end;
            let newline = line_break(text);
            let mut entry = SecretText::default();
            let line_is_open = at > 0 && !text[..at].ends_with(b"\n") && !text[..at].ends_with(b"\r");
            if line_is_open && at > scan_start(text) {
                entry.push_str(newline);
            }
            emit::block_pair(&mut entry, METADATA_KEY, metadata, column, style, newline);
            if line_is_open && at == text.len() && at > scan_start(text) {
                // A text without a last line break gets none: that is how opening it again knows.
                entry.truncate(entry.len() - newline.len());
            }
            patch.replace(Span::at(at), entry);
        }
    }
}

/// Where the content starts: behind a byte order mark.
fn scan_start(text: &[u8]) -> usize {
    if text.starts_with(scan::BOM) { scan::BOM.len() } else { 0 }
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
            if !text[..pair.span.end].ends_with(b"\n") {
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
            let line_start = text[..pair.span.start].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            let start = line_start.max(scan_start(text));
            let end = end_of_line(text, pair.span.end);
            let at_open_end = end == text.len() && !text.ends_with(b"\n");
            if others == 0 && !has_comments(root) {
                // sops: a document with nothing in it is printed as an empty map.
                patch.replace(Span::new(start, end), format!("{{}}{}", line_break(text)));
            } else if at_open_end {
                let without_break = text[..start].strip_suffix(b"\r\n").or(text[..start].strip_suffix(b"\n"));
                patch.replace(Span::new(without_break.map_or(start, <[u8]>::len), end), "");
            } else {
                patch.replace(Span::new(start, end), "");
            }
        }
    }
}

fn has_comments(map: &Map) -> bool {
    map.entries.iter().any(|entry| matches!(entry, Entry::Comment(_)))
}

/// The start of the line below `offset`; `offset` itself when it stands at the start of a line already.
fn end_of_line(text: &[u8], offset: usize) -> usize {
    if offset > 0 && text[offset - 1] == b'\n' {
        return offset;
    }
    text[offset..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |at| offset + at + 1)
}
