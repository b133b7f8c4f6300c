//! INI as sops reads it, without reformatting.
//!
//! `parse` reads the text; `spell` knows how values, keys and comments are written; `print` prints new text in sops'
//! normal form; `edit` sets and removes values.

mod edit;
mod parse;
mod print;
mod spell;

use self::parse::{Shape, end_of_line, shape, start_of_line, value_of};
use super::flat::{flatten, unflatten};
use super::{Content, Edit, EditError, Format, Line, ParseError, PrintError, Store, Style};
use crate::document::{Branch, Comment, Document, Leaf, METADATA_KEY, Node, Pair, Patch};
use crate::key_path::{Step, TreePath};
use crate::secret::{SecretBytes, SecretText};
use crate::span::Span;
use crate::value::{Kind, Plaintext, Tree, as_text};

/// The INI store.
pub struct Ini;

impl Store for Ini {
    fn format(&self) -> Format {
        Format::Ini
    }

    fn parse(&self, text: SecretText) -> Result<Document, ParseError> {
        parse::parse(text)
    }

    fn read(&self, document: &Document, leaf: &Leaf) -> Result<Option<Plaintext>, ParseError> {
        Ok(Some(Plaintext::new(Kind::Str, value_of(leaf.span.of(document.bytes())))))
    }

    fn written(&self, document: &Document, leaf: &Leaf) -> Option<Span> {
        let shape = shape(leaf.span.of(document.bytes()));
        let quote = shape.quote().len();
        (shape != Shape::Continued).then(|| Span::new(leaf.span.start + quote, leaf.span.end - quote))
    }

    fn seal_leaf(&self, patch: &mut Patch, document: &Document, leaf: &Leaf, _: &Plaintext, sealed: &str) {
        spell::seal(patch, document, leaf, sealed);
    }

    fn open_leaf(&self, patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext) {
        spell::open(patch, document, leaf, value);
    }

    fn holds_comment(&self, _text: &[u8]) -> bool {
        true
    }

    fn seal_comment(&self, patch: &mut Patch, document: &Document, comment: &Comment, sealed: &str) {
        spell::seal_comment(patch, document, comment, sealed);
    }

    fn open_comment(&self, patch: &mut Patch, document: &Document, comment: &Comment, text: &[u8]) {
        spell::open_comment(patch, document, comment, text);
    }

    fn adapted(&self, path: &TreePath, value: &Tree) -> Result<Tree, PrintError> {
        match (path.steps(), value) {
            ([Step::Key(section)], Tree::Map(pairs)) => {
                let pairs = pairs.iter().map(|(key, value)| Ok((key.clone(), adapted(section, key, value)?)));
                pairs.collect::<Result<_, _>>().map(Tree::Map)
            }
            ([Step::Key(section)], _) => Err(print::refused(format!(
                "section values should always be maps, and {section:?} would not be"
            ))),
            ([Step::Key(section), Step::Key(key)], value) => adapted(section, key, value),
            ([Step::Key(section), Step::Key(key), ..], _) => Err(print::complex(section, key)),
            _ => Ok(value.copy()),
        }
    }

    fn metadata(&self, document: &Document) -> Result<Option<Tree>, ParseError> {
        let Some(branch) = document.branches.first() else { return Ok(None) };
        let Some(pair) = branch.metadata() else { return Ok(None) };
        let error = |problem: String| Err(ParseError::at(document.bytes(), pair.span.start, problem));
        if metadata_sections(branch).count() > 1 {
            return error("there are two sections called sops".to_owned());
        }
        let Node::Map(section) = &pair.value else { return error("the metadata is no section".to_owned()) };
        let fields = section.pairs().map(|pair| {
            let value = value_of(pair.value.span().of(document.bytes()));
            // sops: line feeds are escaped once more than the format asks for; up to 3.13.1 they were not.
            (pair.key.name.clone(), String::from_utf8_lossy(value.expose()).replace("\\n", "\n"))
        });
        unflatten(fields).map(Some).or_else(|problem| error(problem.to_string()))
    }

    fn write_metadata(&self, document: &Document, metadata: &Tree, _style: Style) -> Patch {
        let mut patch = Patch::new();
        let text = document.bytes();
        let newline = spell::line_break(text);
        let fields = flatten(metadata).into_iter();
        let fields: Vec<_> = fields.map(|(key, value)| (key, value.replace('\n', "\\n"))).collect();
        // Metadata has no text that INI cannot hold, but for keys of a KMS context.
        let section = print::section_text(METADATA_KEY, &fields, newline).unwrap_or_default();
        let lines = &section.expose()[..section.len().saturating_sub(newline.len())];
        for branch in &document.branches {
            match branch.metadata() {
                Some(pair) => patch.replace(pair.span, SecretText::copy_of(lines)),
                None => {
                    let is_open = !text[parse::content_start(text)..].is_empty() && !text.ends_with(b"\n");
                    let mut block = SecretText::default();
                    if is_open {
                        block.push_str(newline);
                    }
                    if text.len() > parse::content_start(text) {
                        block.push_str(newline);
                    }
                    block.push(lines);
                    if !is_open {
                        // A text without a last line break gets none: that is how opening it again knows.
                        block.push_str(newline);
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
            let Node::Map(section) = &branch.metadata()?.value else { return None };
            for (name, value) in fields {
                let Node::Leaf(leaf) = &section.pair(name)?.value else { return None };
                if shape(leaf.span.of(document.bytes())) != Shape::Bare || leaf.span.is_empty() {
                    return None;
                }
                patch.replace(leaf.span, *value);
            }
        }
        Some(patch)
    }

    fn remove_metadata(&self, document: &Document) -> Patch {
        let mut patch = Patch::new();
        let text = document.bytes();
        for pair in document.branches.iter().flat_map(metadata_sections) {
            let end = end_of_line(text, pair.span.end);
            let mut start = start_of_line(text, pair.span.start);
            // The empty line above it goes too, and the line break that was missing before.
            let is_open = end == text.len() && !text.ends_with(b"\n");
            if is_empty_line_above(text, start) {
                start = without_line_break(text, start);
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
        print::print_file(roots)
    }

    fn print_value(&self, value: &Content<'_>) -> Result<SecretText, PrintError> {
        print::print_value(value)
    }

    fn example(&self) -> &'static str {
        print::EXAMPLE
    }
}

/// A value of a key as INI can hold it: as text.
fn adapted(section: &str, key: &str, value: &Tree) -> Result<Tree, PrintError> {
    let in_section = |what: &str| print::refused(format!("{what} {key:?} in section {section:?}"));
    match value {
        Tree::Leaf(value) => {
            let text = as_text(Some(value));
            spell::spelled_key(key).ok_or_else(|| in_section("the key"))?;
            spell::spelled(text.expose()).ok_or_else(|| in_section("the value of"))?;
            Ok(Tree::Leaf(Plaintext::new(Kind::Str, SecretBytes::copy_of(text.expose()))))
        }
        Tree::Null => Err(in_section("there is no null; set to an empty text, or unset, the key")),
        Tree::List(_) | Tree::Map(_) => Err(print::complex(section, key)),
    }
}

fn metadata_sections(branch: &Branch) -> impl Iterator<Item = &Pair> {
    branch.root.pairs().filter(|pair| branch.metadata_keys.names(&pair.key.name))
}

/// Where the line break before `at` starts; `at` itself when there is none.
fn without_line_break(text: &[u8], at: usize) -> usize {
    match &text[..at] {
        [.., b'\r', b'\n'] => at - 2,
        [.., b'\n'] => at - 1,
        _ => at,
    }
}

/// Whether the line above the one that starts at `start` is empty.
fn is_empty_line_above(text: &[u8], start: usize) -> bool {
    let above = without_line_break(text, start);
    above < start && start_of_line(text, above) == above
}
