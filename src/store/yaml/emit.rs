//! New text in go-yaml's normal form: block style, whole levels of indentation, no blank lines.

use super::line_break;
use super::scalar::{self, Style as Quotes};
use super::spell::{self, NewBlock, next_level};
use crate::document::{Chomp, Document, Item, Node};
use crate::secret::SecretText;
use crate::store::{Content, Element, Line, ParseError, Remark, Style};
use crate::value::Tree;

const LIKE_SOPS: scalar::Escape = scalar::Escape::LikeSops;
/// Longer keys are written with `? `.
const SIMPLE_KEY_BYTES: usize = 128;
/// sops prints single values with its default indentation, whatever is configured.
const VALUE_STYLE: Style = Style { indent: spell::DEFAULT_INDENT, tabs: false };

// ---------------------------------------------------------------- from a document

/// A node of a document as a tree without comments.
pub(super) fn tree_of(document: &Document, node: &Node) -> Result<Tree, ParseError> {
    Ok(match node {
        Node::Leaf(leaf) => spell::read(document.bytes(), leaf)?.map_or(Tree::Null, Tree::Leaf),
        Node::List(list) => {
            let values = list.items.iter().filter_map(|item| match item {
                Item::Value { node, .. } => Some(tree_of(document, node)),
                Item::Comment(_) => None,
            });
            Tree::List(values.collect::<Result<_, _>>()?)
        }
        Node::Map(map) => {
            let mut pairs = Vec::new();
            for pair in map.pairs() {
                if !pair.key.is_text {
                    return Err(ParseError::at(document.bytes(), pair.key.span.start, "the key is not text"));
                }
                pairs.push((pair.key.name.clone(), tree_of(document, &pair.value)?));
            }
            Tree::Map(pairs)
        }
    })
}

/// A file of its own, one document for each root.
pub(super) fn print_file(roots: &[Vec<Line<'_>>], style: Style) -> SecretText {
    let mut printer = Printer { out: SecretText::default(), style, newline: "\n", alone: true };
    for (number, root) in roots.iter().enumerate() {
        if number > 0 {
            printer.out.push_str("---\n");
        }
        printer.map(root, 0, false);
        if !has_pairs(root) {
            printer.out.push_str("{}\n");
        }
    }
    printer.out
}

/// A list or a scalar on its own.
pub(super) fn print_value(value: &Content<'_>) -> SecretText {
    let mut printer = Printer { out: SecretText::default(), style: VALUE_STYLE, newline: "\n", alone: true };
    match value {
        Content::List(elements) if has_values(elements) => printer.list(elements, 0, false),
        Content::Map(lines) if has_pairs(lines) => printer.map(lines, 0, false),
        other => printer.inline_value(other, 0, -1, &mut Vec::new()),
    }
    printer.out
}

// ---------------------------------------------------------------- pieces for patches

/// `key: value` at `column`, with its indentation and last line break.
pub(super) fn block_pair(
    out: &mut SecretText,
    key: &str,
    value: &Tree,
    column: usize,
    style: Style,
    newline: &'static str,
) {
    let mut printer = Printer { out: std::mem::take(out), style, newline, alone: false };
    printer.map(&[Line::Pair(key.to_owned(), value.into())], column, false);
    *out = printer.out;
}

/// `- value` at `column`, with its indentation and last line break.
pub(super) fn block_item(out: &mut SecretText, value: &Tree, column: usize, newline: &'static str) {
    let mut printer = Printer { out: std::mem::take(out), style: VALUE_STYLE, newline, alone: false };
    printer.list(&[Element::Value(value.into())], column, false);
    *out = printer.out;
}

/// `"key": value` for the inside of braces.
pub(super) fn flow_pair(out: &mut SecretText, key: &str, value: &Tree) {
    out.push(scalar::double_quoted(key, LIKE_SOPS).expose());
    out.push_str(": ");
    flow_value(out, &value.into());
}

/// A value on one line, for the inside of braces and brackets.
pub(super) fn flow_value(out: &mut SecretText, value: &Content<'_>) {
    match value {
        Content::Null => out.push_str("null"),
        Content::Held(_) | Content::Borrowed(_) => {
            let value = value.value().expect("a leaf has a value");
            match (scalar::spell(value), std::str::from_utf8(value.expose())) {
                (Some(spelled), _) => out.push(spelled.expose()),
                (None, Ok(text)) => out.push(scalar::double_quoted(text, LIKE_SOPS).expose()),
                (None, Err(_)) => {
                    out.push_str("!!binary \"");
                    out.push(scalar::encode_binary(value.expose()).expose());
                    out.push_str("\"");
                }
            }
        }
        Content::List(elements) => {
            out.push_str("[");
            let mut first = true;
            for element in elements {
                if let Element::Value(value) = element {
                    out.push_str(if first { "" } else { ", " });
                    flow_value(out, value);
                    first = false;
                }
            }
            out.push_str("]");
        }
        Content::Map(lines) => {
            out.push_str("{");
            let mut first = true;
            for line in lines {
                if let Line::Pair(key, value) = line {
                    out.push_str(if first { "" } else { ", " });
                    out.push(scalar::double_quoted(key, LIKE_SOPS).expose());
                    out.push_str(": ");
                    flow_value(out, value);
                    first = false;
                }
            }
            out.push_str("}");
        }
    }
}

/// Where a value is put into a text.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// Behind a key at this column.
    Pair(usize),
    /// Behind a dash; this is the column of what follows the dash.
    Item(usize),
    /// Inside braces or brackets.
    Flow,
}

/// The text of a value for a slot: what goes on the line, and the lines below it (without a last line break).
pub(super) fn pieces(value: &Content<'_>, slot: Slot, text: &[u8]) -> (SecretText, SecretText) {
    let newline = line_break(text);
    let mut printer = Printer { out: SecretText::default(), style: VALUE_STYLE, newline, alone: false };
    match (slot, value) {
        (Slot::Flow, value) => {
            flow_value(&mut printer.out, value);
            return (printer.out, SecretText::default());
        }
        (Slot::Pair(column), Content::Map(lines)) if has_pairs(lines) => {
            printer.out.push_str(newline);
            printer.map(lines, next_level(column, VALUE_STYLE.indent), false);
        }
        (Slot::Pair(column), Content::List(elements)) if has_values(elements) => {
            printer.out.push_str(newline);
            printer.list(elements, next_level(column, VALUE_STYLE.indent), false);
        }
        (Slot::Item(column), Content::Map(lines)) if has_pairs(lines) => printer.map(lines, column, true),
        (Slot::Item(column), Content::List(elements)) if has_values(elements) => {
            printer.list(elements, column, true);
        }
        (Slot::Pair(column), other) => {
            let content = next_level(column, VALUE_STYLE.indent);
            printer.inline_value(other, content, column as isize, &mut Vec::new());
        }
        (Slot::Item(column), other) => {
            printer.inline_value(other, column, column as isize - 2, &mut Vec::new());
        }
    }
    let printed = printer.out.expose();
    let printed = printed.strip_suffix(newline.as_bytes()).unwrap_or(printed);
    let first = printed.windows(newline.len()).position(|window| window == newline.as_bytes());
    let (line, below) = printed.split_at(first.unwrap_or(printed.len()));
    (SecretText::copy_of(line), SecretText::copy_of(below))
}

// ---------------------------------------------------------------- printing

fn has_pairs(lines: &[Line<'_>]) -> bool {
    lines.iter().any(|line| matches!(line, Line::Pair(..)))
}

fn has_values(elements: &[Element<'_>]) -> bool {
    elements.iter().any(|element| matches!(element, Element::Value(_)))
}

struct Printer {
    out: SecretText,
    style: Style,
    newline: &'static str,
    /// Whether nothing is printed into another text, whose blank lines a block could take for its own.
    alone: bool,
}

impl Printer {
    fn indent(&mut self, column: usize) {
        self.out.push_str(&" ".repeat(column));
    }

    fn remarks<'r>(&mut self, remarks: impl IntoIterator<Item = &'r Remark>, column: usize) {
        for remark in remarks {
            self.indent(column);
            self.out.push_str("#");
            self.out.push(remark.text.expose());
            self.out.push_str(self.newline);
        }
    }

    /// The pairs of a map; with `first_is_placed` the text is at the first key's place already.
    fn map(&mut self, lines: &[Line<'_>], column: usize, first_is_placed: bool) {
        let mut placed = first_is_placed;
        let mut above: Vec<&Remark> = Vec::new();
        let mut beside: Vec<&Remark> = Vec::new();
        for line in lines {
            match line {
                Line::Comment(remark) if remark.inline => beside.push(remark),
                Line::Comment(remark) => above.push(remark),
                Line::Pair(key, value) => {
                    if !placed {
                        self.remarks(above.drain(..), column);
                    }
                    above.clear();
                    if beside.len() > 1 || value.value().is_none() {
                        self.remarks(beside.drain(..), column);
                    }
                    if !placed {
                        self.indent(column);
                    }
                    placed = false;
                    self.pair(key, value, column, &mut beside);
                }
            }
        }
        self.remarks(above, column);
        self.remarks(beside, column);
    }

    fn pair(&mut self, key: &str, value: &Content<'_>, column: usize, beside: &mut Vec<&Remark>) {
        let spelled = spell_key(key);
        let explicit = key.len() > SIMPLE_KEY_BYTES || spelled.is_none();
        if explicit {
            self.out.push_str("? ");
        }
        match spelled {
            Some(spelled) => self.out.push(spelled.expose()),
            None => self.out.push(scalar::double_quoted(key, LIKE_SOPS).expose()),
        }
        if explicit {
            self.out.push_str(self.newline);
            self.indent(column);
        }
        self.out.push_str(":");
        let below = next_level(column, self.style.indent);
        match value {
            Content::Map(lines) if has_pairs(lines) => {
                self.out.push_str(self.newline);
                self.map(lines, below, false);
            }
            Content::List(elements) if has_values(elements) => {
                self.out.push_str(self.newline);
                self.list(elements, below, false);
            }
            other => {
                self.out.push_str(" ");
                self.inline_value(other, below, column as isize, beside);
            }
        }
    }

    /// The elements of a list; with `first_is_placed` the text is at the first dash's place already.
    fn list(&mut self, elements: &[Element<'_>], column: usize, first_is_placed: bool) {
        let mut placed = first_is_placed;
        let mut above: Vec<&Remark> = Vec::new();
        let mut beside: Vec<&Remark> = Vec::new();
        for element in elements {
            match element {
                Element::Comment(remark) if remark.inline => beside.push(remark),
                Element::Comment(remark) => above.push(remark),
                Element::Value(value) => {
                    // A map's own first comments stand above the dash.
                    let own: Vec<&Remark> = match value {
                        Content::Map(lines) if has_pairs(lines) => leading(lines),
                        _ => Vec::new(),
                    };
                    if beside.len() > 1 || value.value().is_none() {
                        above.append(&mut beside);
                    }
                    if !placed {
                        self.remarks(above.drain(..).chain(own), column);
                        self.indent(column);
                    }
                    above.clear();
                    placed = false;
                    self.out.push_str("- ");
                    match value {
                        Content::Map(lines) if has_pairs(lines) => self.map(lines, column + 2, true),
                        Content::List(inner) if has_values(inner) => self.list(inner, column + 2, true),
                        other => self.inline_value(other, column + 2, column as isize, &mut beside),
                    }
                }
            }
        }
        self.remarks(above, column);
        self.remarks(beside, column);
    }

    /// A scalar or an empty collection, up to and with the line break.
    fn inline_value(
        &mut self,
        value: &Content<'_>,
        content: usize,
        parent: isize,
        beside: &mut Vec<&Remark>,
    ) {
        let mut below = None;
        match value {
            Content::Null => self.out.push_str("null"),
            Content::List(_) => self.out.push_str("[]"),
            Content::Map(_) => self.out.push_str("{}"),
            leaf => {
                let value = leaf.value().expect("a leaf has a value");
                match spell::one_line(value) {
                    Some(spelled) => self.out.push(spelled.expose()),
                    None => match NewBlock::of(value.expose(), parent, content, self.newline, false) {
                        Some(block) if self.alone || block.chomp != Chomp::Keep => {
                            self.out.push(block.header.expose());
                            below = Some(block.lines);
                        }
                        _ => self.out.push(spell::quoted(value.expose()).expose()),
                    },
                }
            }
        }
        for remark in beside.drain(..) {
            self.out.push_str(" #");
            self.out.push(remark.text.expose());
        }
        if let Some(lines) = below {
            self.out.push_str(self.newline);
            self.out.push(lines.expose());
        }
        self.out.push_str(self.newline);
    }
}

/// The comments before a map's first pair.
fn leading<'r>(lines: &'r [Line<'_>]) -> Vec<&'r Remark> {
    let remarks = lines.iter().map_while(|line| match line {
        Line::Comment(remark) => Some(remark),
        Line::Pair(..) => None,
    });
    remarks.filter(|remark| !remark.inline).collect()
}

/// A key on one line; `None` when it has line breaks.
fn spell_key(key: &str) -> Option<SecretText> {
    match scalar::normal_style(key, false) {
        Quotes::Plain => Some(SecretText::from(key)),
        Quotes::Single => Some(scalar::single_quoted(key)),
        Quotes::Double => Some(scalar::double_quoted(key, LIKE_SOPS)),
        Quotes::Literal => None,
    }
}
