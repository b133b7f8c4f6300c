//! JSON as sops reads it, without reformatting.
//!
//! `parse` reads the text; `text` knows what strings and numbers mean and how they are spelled; `layout` finds out
//! how a file is laid out and prints new text in the same way, or in sops' own; `edit` sets and removes values.

mod edit;
mod layout;
mod parse;
mod text;

use super::{Content, Edit, EditError, Format, Line, ParseError, PrintError, Store, Style};
use crate::cipher;
use crate::document::{Branch, Document, Item, Leaf, LeafStyle, List, METADATA_KEY, Map, Node, Pair, Patch};
use crate::key_path::TreePath;
use crate::secret::SecretText;
use crate::span::Span;
use crate::value::{Kind, Plaintext, Tree};

use layout::Layout;

/// The JSON store.
pub struct Json;

impl Store for Json {
    fn format(&self) -> Format {
        Format::Json
    }

    fn parse(&self, text: SecretText) -> Result<Document, ParseError> {
        parse::parse(text)
    }

    fn keeps_all_kinds(&self) -> bool {
        false
    }

    fn read(&self, document: &Document, leaf: &Leaf) -> Result<Option<Plaintext>, ParseError> {
        read(document, leaf)
    }

    fn written(&self, document: &Document, leaf: &Leaf) -> Option<Span> {
        if leaf.style != LeafStyle::Double {
            return Some(leaf.span);
        }
        let inner = Span::new(leaf.span.start + 1, leaf.span.end - 1);
        let text = inner.of(document.bytes());
        if !cipher::looks_sealed(text) {
            return Some(inner);
        }
        // How the value was spelled may stand behind its sealed text.
        let end = text.iter().rposition(|&byte| byte == b']')?;
        Some(Span::new(inner.start, inner.start + end + 1))
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

    fn open_leaf(&self, patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext) {
        match value.kind() {
            Kind::Comment if leaf.in_list => edit::remove_comment(patch, document, leaf),
            _ => patch.replace(leaf.span, text::spelled(value)),
        }
    }

    fn odd_spelling(&self, document: &Document, leaf: &Leaf, value: &Plaintext) -> Option<SecretText> {
        let written = leaf.span.of(document.bytes());
        (text::spelled(value).expose() != written).then(|| SecretText::copy_of(written))
    }

    fn spells(&self, spelling: &[u8], value: &Plaintext) -> bool {
        parse::is_scalar(spelling) && matches!(text::read(spelling), Ok(Some(read)) if read == *value)
    }

    fn check(&self, value: &Plaintext) -> Result<(), PrintError> {
        text::check(value)
    }

    fn metadata(&self, document: &Document) -> Result<Option<Tree>, ParseError> {
        let Some(branch) = document.branches.first() else { return Ok(None) };
        let mut blocks = branch.root.pairs().filter(|pair| pair.key.name == METADATA_KEY);
        let Some(pair) = blocks.next() else { return Ok(None) };
        if let Some(second) = blocks.next() {
            let problem = "a second top-level entry called 'sops': there can be only one";
            return Err(ParseError::at(document.bytes(), second.span.start, problem));
        }
        tree_of(document, &pair.value).map(Some)
    }

    fn write_metadata(&self, document: &Document, metadata: &Tree, style: Style) -> Patch {
        let mut patch = Patch::new();
        for branch in &document.branches {
            match branch.metadata() {
                Some(pair) => replace_metadata(&mut patch, document, pair, metadata),
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
                patch.replace(leaf.span, text::spelled(&Plaintext::text(value)));
            }
        }
        Some(patch)
    }

    fn remove_metadata(&self, document: &Document) -> Patch {
        let mut patch = Patch::new();
        for branch in &document.branches {
            if let Some(pair) = branch.metadata() {
                patch.replace(metadata_span(document, &branch.root, pair), "");
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

    /// SOPS 3.13: only the first document is printed, without its comments.
    fn print_file(&self, roots: &[Vec<Line<'_>>], style: Style) -> Result<SecretText, PrintError> {
        let mut out = SecretText::default();
        let lines = roots.first().map_or(&[][..], |lines| &lines[..]);
        layout::check_lines(lines)?;
        layout::print_map(&mut out, lines, &Layout::of_style(style), 0);
        out.push_str("\n");
        Ok(out)
    }

    fn print_value(&self, value: &Content<'_>) -> Result<SecretText, PrintError> {
        self.print_value_in(value, Style { indent: 0, tabs: true })
    }

    fn print_value_in(&self, value: &Content<'_>, style: Style) -> Result<SecretText, PrintError> {
        let mut out = SecretText::default();
        layout::check_content(value)?;
        layout::print(&mut out, value, &Layout::of_style(style), 0);
        Ok(out)
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }
}

/// SOPS 3.13: what `edit` offers for a file that does not exist yet.
const EXAMPLE: &str = "\
{
\t\"hello\": \"Welcome to SOPS! Edit this file as you please!\",
\t\"example_key\": \"example_value\",
\t\"example_array\": [
\t\t\"example_value1\",
\t\t\"example_value2\"
\t],
\t\"example_number\": 1234.56789,
\t\"example_booleans\": [
\t\ttrue,
\t\tfalse
\t]
}
";

/// The value of a leaf; `None` is null.
fn read(document: &Document, leaf: &Leaf) -> Result<Option<Plaintext>, ParseError> {
    let raw = leaf.span.of(document.bytes());
    text::read(raw).map_err(|problem| ParseError::at(document.bytes(), leaf.span.start, problem))
}

/// A node without its place.
fn tree_of(document: &Document, node: &Node) -> Result<Tree, ParseError> {
    Ok(match node {
        Node::Leaf(leaf) => read(document, leaf)?.map_or(Tree::Null, Tree::Leaf),
        Node::List(list) => {
            let values = values(list).map(|(node, _)| tree_of(document, node));
            Tree::List(values.collect::<Result<_, _>>()?)
        }
        Node::Map(map) => {
            let pairs = map.pairs().map(|pair| Ok((pair.key.name.clone(), tree_of(document, &pair.value)?)));
            Tree::Map(pairs.collect::<Result<_, ParseError>>()?)
        }
    })
}

/// The elements of a list: JSON has no comments.
fn values(list: &List) -> impl Iterator<Item = (&Node, Span)> {
    list.items.iter().filter_map(|item| match item {
        Item::Value { node, span } => Some((node, *span)),
        Item::Comment(_) => None,
    })
}

// ---------------------------------------------------------------- metadata

fn append_metadata(patch: &mut Patch, document: &Document, branch: &Branch, metadata: &Tree, style: Style) {
    let text = document.bytes();
    let root = &branch.root;
    let mut entry = SecretText::default();
    let Some(last) = root.pairs().last() else {
        let inside = Span::new(root.span.start + 1, root.span.end - 1);
        let mut layout = Layout::of_style(style);
        layout.newline = layout::line_break(text);
        if inside.is_empty() {
            layout.start_line(&mut entry, 1);
            layout::print_pair(&mut entry, METADATA_KEY, &metadata.into(), &layout, 1);
            layout.start_line(&mut entry, 0);
        } else {
            // The blanks between the braces are known again by standing on one side of the metadata only.
            layout::print_pair(&mut entry, METADATA_KEY, &metadata.into(), &layout, 1);
        }
        return patch.replace(Span::at(inside.end), entry);
    };
    let layout = Layout::of_map(document, root);
    entry.push_str(",");
    entry.push(layout.separator(text, root));
    layout::print_pair(&mut entry, METADATA_KEY, &metadata.into(), &layout, 0);
    patch.replace(Span::at(last.span.end), entry);
}

fn replace_metadata(patch: &mut Patch, document: &Document, pair: &Pair, metadata: &Tree) {
    let mut entry = SecretText::default();
    let layout = match &pair.value {
        Node::Map(map) if map.pairs().next().is_some() => Layout::inside(document, pair, map),
        _ => Layout::one_line(),
    };
    layout::print(&mut entry, &metadata.into(), &layout, 0);
    patch.replace(pair.value.span(), entry);
}

/// What goes with the metadata: its comma, or all blanks of a map that has nothing else.
fn metadata_span(document: &Document, root: &Map, pair: &Pair) -> Span {
    let before = root.pairs().take_while(|other| other.span != pair.span).last();
    let after = root.pairs().find(|other| other.span.start > pair.span.start);
    match (before, after) {
        (Some(before), _) => Span::new(before.span.end, pair.span.end),
        (None, Some(after)) => Span::new(pair.span.start, after.span.start),
        (None, None) if document.bytes()[pair.span.end] == b'}' => pair.span,
        (None, None) => Span::new(root.span.start + 1, root.span.end - 1),
    }
}
