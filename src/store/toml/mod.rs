//! TOML, which sops does not know: as orlop seals it, no other program reads it.
//!
//! `parse` finds the tables, `text` knows what scalars mean and how they are spelled, `print` writes new text in a
//! normal form, `edit` sets and removes values.

mod edit;
mod parse;
mod print;
mod text;

use super::{Content, Edit, EditError, Format, Line, ParseError, PrintError, Store, Style};
use crate::cipher;
use crate::document::{Document, Item, Leaf, METADATA_KEY, Node, Patch};
use crate::key_path::TreePath;
use crate::secret::SecretText;
use crate::span::Span;
use crate::value::{Kind, Plaintext, Tree};

/// The TOML store.
pub struct Toml;

/// Whether a text that is called TOML is what sops makes of such a file: an envelope of JSON. No TOML file starts with
/// a brace.
pub fn is_envelope(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

impl Store for Toml {
    fn format(&self) -> Format {
        Format::Toml
    }

    fn parse(&self, text: SecretText) -> Result<Document, ParseError> {
        parse::parse(text)
    }

    fn read(&self, document: &Document, leaf: &Leaf) -> Result<Option<Plaintext>, ParseError> {
        read(document, leaf).map(Some)
    }

    fn written(&self, document: &Document, leaf: &Leaf) -> Option<Span> {
        let text = leaf.span.of(document.bytes());
        match text {
            [b'"', b'"', b'"', ..] | [b'\'', b'\'', b'\'', ..] => None,
            [b'"' | b'\'', ..] => {
                let inner = Span::new(leaf.span.start + 1, leaf.span.end - 1);
                let text = inner.of(document.bytes());
                if !cipher::looks_sealed(text) {
                    return Some(inner);
                }
                // How the value was spelled may stand behind its sealed text.
                let end = text.iter().rposition(|&byte| byte == b']')?;
                Some(Span::new(inner.start, inner.start + end + 1))
            }
            _ => Some(leaf.span),
        }
    }

    fn seal_leaf(
        &self,
        patch: &mut Patch,
        _document: &Document,
        leaf: &Leaf,
        _value: &Plaintext,
        sealed: &str,
    ) {
        patch.replace(leaf.span, format!("\"{sealed}\""));
    }

    fn open_leaf(&self, patch: &mut Patch, _document: &Document, leaf: &Leaf, value: &Plaintext) {
        patch.replace(leaf.span, text::spelled(value));
    }

    fn odd_spelling(&self, document: &Document, leaf: &Leaf, value: &Plaintext) -> Option<SecretText> {
        let written = leaf.span.of(document.bytes());
        (text::spelled(value).expose() != written).then(|| SecretText::copy_of(written))
    }

    fn spells(&self, spelling: &[u8], value: &Plaintext) -> bool {
        print::is_scalar(spelling) && text::read(spelling).is_ok_and(|read| read == *value)
    }

    fn check(&self, value: &Plaintext) -> Result<(), PrintError> {
        text::check_value(value)
    }

    fn holds_comment(&self, text: &[u8]) -> bool {
        text::holds_comment(text)
    }

    fn adapted(&self, path: &TreePath, value: &Tree) -> Result<Tree, PrintError> {
        print::check_tree(path, value)?;
        Ok(value.copy())
    }

    fn metadata(&self, document: &Document) -> Result<Option<Tree>, ParseError> {
        let Some(pair) = document.branches.first().and_then(|branch| branch.metadata()) else {
            return Ok(None);
        };
        let text = document.bytes();
        let is_table = matches!(pair.value, Node::Map(_))
            && text[pair.span.start..].trim_ascii_start().starts_with(b"[");
        match is_table {
            true => tree_of(document, &pair.value).map(Some),
            false => {
                let problem = "the entry 'sops' is no table of its own, [sops]: this is no metadata";
                Err(ParseError::at(text, pair.span.start, problem))
            }
        }
    }

    fn write_metadata(&self, document: &Document, metadata: &Tree, _style: Style) -> Patch {
        let mut patch = Patch::new();
        let text = document.bytes();
        let newline = line_break(text);
        for branch in &document.branches {
            match branch.metadata() {
                Some(pair) => {
                    let mut block = print::metadata(metadata, newline);
                    if !pair.span.of(text).ends_with(b"\n") {
                        block.truncate(block.len() - newline.len());
                    }
                    patch.replace(pair.span, block);
                }
                None => {
                    let mut block = SecretText::default();
                    let is_open = !text.is_empty() && !text.ends_with(b"\n");
                    if is_open {
                        block.push_str(newline);
                    }
                    if !text.is_empty() {
                        block.push_str(newline);
                    }
                    block.push(print::metadata(metadata, newline).expose());
                    if is_open {
                        // A file without a last line break is known by this.
                        block.truncate(block.len() - newline.len());
                    }
                    patch.replace(Span::at(text.len()), block);
                }
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
                patch.replace(leaf.span, text::spelled(&Plaintext::text(value)));
            }
        }
        Some(patch)
    }

    fn remove_metadata(&self, document: &Document) -> Patch {
        let mut patch = Patch::new();
        let text = document.bytes();
        for pair in document.branches.iter().filter_map(|branch| branch.metadata()) {
            let Span { mut start, end } = pair.span;
            // The empty line above it goes too, and the line break that was missing before.
            let is_open = end == text.len() && !text.ends_with(b"\n");
            let above = without_line_break(text, start);
            if above < start && parse::line_start(text, above) == above {
                start = above;
            }
            if is_open {
                start = without_line_break(text, start);
            }
            patch.replace(Span::new(start, end), "");
        }
        patch
    }

    fn set(&self, document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
        edit::set(document, path, value)
    }

    fn unset(&self, document: &Document, path: &TreePath) -> Result<Patch, EditError> {
        edit::unset(document, path)
    }

    fn print_file(&self, roots: &[Vec<Line<'_>>], _style: Style) -> Result<SecretText, PrintError> {
        print::file(roots)
    }

    fn print_value(&self, value: &Content<'_>) -> Result<SecretText, PrintError> {
        print::value(value)
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }
}

/// What `edit` offers for a file that does not exist yet: what sops offers in its formats.
const EXAMPLE: &str = "\
hello = \"Welcome to SOPS! Edit this file as you please!\"
example_key = \"example_value\"
# Example comment
example_array = [\"example_value1\", \"example_value2\"]
example_number = 1234.56789
example_booleans = [true, false]
";

fn read(document: &Document, leaf: &Leaf) -> Result<Plaintext, ParseError> {
    let raw = leaf.span.of(document.bytes());
    text::read(raw)
        .map_err(|(offset, problem)| ParseError::at(document.bytes(), leaf.span.start + offset, problem))
}

/// A node without its place and its comments.
fn tree_of(document: &Document, node: &Node) -> Result<Tree, ParseError> {
    Ok(match node {
        Node::Leaf(leaf) => {
            let value = read(document, leaf)?;
            match value.kind() {
                // An editor may have changed the line breaks of the file.
                Kind::Str if value.expose().contains(&b'\r') => {
                    Tree::text(&String::from_utf8_lossy(value.expose()).replace("\r\n", "\n"))
                }
                _ => Tree::Leaf(value),
            }
        }
        Node::List(list) => {
            let values = list.items.iter().filter_map(|item| match item {
                Item::Value { node, .. } => Some(tree_of(document, node)),
                Item::Comment(_) => None,
            });
            Tree::List(values.collect::<Result<_, _>>()?)
        }
        Node::Map(map) => {
            let pairs = map.pairs().map(|pair| Ok((pair.key.name.clone(), tree_of(document, &pair.value)?)));
            Tree::Map(pairs.collect::<Result<_, ParseError>>()?)
        }
    })
}

/// The line break the text uses.
fn line_break(text: &[u8]) -> &'static str {
    match text.iter().position(|&byte| byte == b'\n') {
        Some(at) if at > 0 && text[at - 1] == b'\r' => "\r\n",
        _ => "\n",
    }
}

/// Where the line break before `at` starts; `at` itself when there is none.
fn without_line_break(text: &[u8], at: usize) -> usize {
    match &text[..at] {
        [.., b'\r', b'\n'] => at - 2,
        [.., b'\n'] => at - 1,
        _ => at,
    }
}

/// Whether this is the key of the metadata.
fn is_metadata(path: &[String]) -> bool {
    path.first().is_some_and(|key| key == METADATA_KEY)
}
