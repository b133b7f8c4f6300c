//! New text in a normal form: values first, each table under its own header.

use super::text::{self, push_lines, push_quoted, push_spelled, spelled_key, spelled_path};
use crate::cipher;
use crate::document::METADATA_KEY;
use crate::key_path::{Step, TreePath};
use crate::secret::SecretText;
use crate::store::{Content, Element, Line, PrintError, Remark};
use crate::value::{Kind, Plaintext, Tree};

fn refused(problem: impl Into<String>) -> PrintError {
    PrintError { format: "TOML", problem: problem.into() }
}

/// Whether `text` is one scalar and nothing else.
pub(super) fn is_scalar(text: &[u8]) -> bool {
    let mut line = SecretText::with_capacity(text.len() + 2);
    line.push(b"x=");
    line.push(text);
    let outline = super::parse::Outline::of(line.expose());
    outline.is_ok_and(|outline| {
        let value = outline.value(super::parse::ROOT, "x");
        let whole = crate::span::Span::new(2, line.len());
        matches!(value, Some((super::parse::Value::Leaf { span, .. }, _)) if span == whole)
    })
}

/// Whether TOML has a place for a value.
pub(super) fn check_tree(path: &TreePath, value: &Tree) -> Result<(), PrintError> {
    match value {
        Tree::Null => {
            let key = path.steps().iter().rev().find_map(|step| match step {
                Step::Key(key) => Some(key.as_str()),
                Step::Index(_) => None,
            });
            Err(null_at(key.unwrap_or_default()))
        }
        Tree::Leaf(value) => text::check_value(value),
        Tree::List(items) => items.iter().try_for_each(|item| check_tree(path, item)),
        Tree::Map(pairs) => pairs.iter().try_for_each(|(_, value)| check_tree(path, value)),
    }
}

fn null_at(key: &str) -> PrintError {
    refused(format!("a null as the value of {key:?}; set it to an empty text, or unset the key"))
}

/// A file of its own.
pub(super) fn file(roots: &[Vec<Line<'_>>]) -> Result<SecretText, PrintError> {
    let mut printer = Printer { out: SecretText::default(), keeps_lines: true };
    match roots {
        [] => {}
        [lines] => printer.lines(&lines.iter().collect::<Vec<_>>(), &mut Vec::new())?,
        _ => return Err(refused("several documents in one file")),
    }
    Ok(printer.out)
}

/// The metadata, from its header to its last line break.
pub(super) fn metadata(tree: &Tree, newline: &str) -> SecretText {
    let mut printer = Printer { out: SecretText::default(), keeps_lines: newline == "\n" };
    let Content::Map(lines) = Content::from(tree) else { return printer.out };
    // Values first: what stands behind a table belongs to it. The order of the metadata has no meaning.
    let (tables, values): (Vec<&Line<'_>>, Vec<&Line<'_>>) = lines.iter().partition(|line| is_table(line));
    let ordered: Vec<&Line<'_>> = values.into_iter().chain(tables).collect();
    let mut path = vec![METADATA_KEY.to_owned()];
    printer.out.push_str(&format!("[{METADATA_KEY}]\n"));
    // Metadata has neither nulls nor bytes.
    let printed = printer.lines(&ordered, &mut path);
    debug_assert!(printed.is_ok());
    if newline == "\n" {
        return printer.out;
    }
    let mut out = SecretText::with_capacity(2 * printer.out.len());
    for line in printer.out.expose().split_inclusive(|&byte| byte == b'\n') {
        out.push(line.strip_suffix(b"\n").unwrap_or(line));
        out.push_str(newline);
    }
    out
}

/// A value on one line.
pub(super) fn value(value: &Content<'_>) -> Result<SecretText, PrintError> {
    let mut printer = Printer { out: SecretText::default(), keeps_lines: false };
    printer.inline("", value, 0)?;
    Ok(printer.out)
}

/// As [`value`], of a tree that TOML has a place for.
pub(super) fn tree(tree: &Tree) -> Result<SecretText, PrintError> {
    value(&tree.into())
}

/// Whether an entry is printed under a header.
fn is_table(line: &Line<'_>) -> bool {
    match line {
        Line::Pair(_, Content::Map(_)) => true,
        Line::Pair(_, Content::List(elements)) => {
            let is_map = |element: &Element<'_>| matches!(element, Element::Value(Content::Map(_)));
            let is_comment = |element: &Element<'_>| matches!(element, Element::Comment(_));
            elements.iter().any(is_map)
                && elements.iter().all(|element| is_map(element) || is_comment(element))
        }
        _ => false,
    }
}

/// A comment that sops sealed as an element of a list.
fn sealed_comment<'v>(value: &'v Content<'_>) -> Option<&'v [u8]> {
    let text = value.value().filter(|value| value.kind() == Kind::Str)?.expose();
    (cipher::looks_sealed(text) && text.ends_with(b",type:comment]")).then_some(text)
}

fn has_comments(value: &Content<'_>) -> bool {
    match value {
        Content::List(elements) => elements.iter().any(|element| match element {
            Element::Comment(_) => true,
            Element::Value(value) => sealed_comment(value).is_some() || has_comments(value),
        }),
        Content::Map(lines) => lines.iter().any(|line| match line {
            Line::Comment(_) => true,
            Line::Pair(_, value) => has_comments(value),
        }),
        _ => false,
    }
}

struct Printer {
    out: SecretText,
    /// Whether a text of several lines may stand on several lines.
    keeps_lines: bool,
}

impl Printer {
    fn comment(&mut self, text: &[u8], indent: usize) -> Result<(), PrintError> {
        for line in text.split(|&byte| byte == b'\n') {
            if !text::holds_comment(line) {
                return Err(refused("a comment with a control character"));
            }
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str("#");
            self.out.push(line);
            self.out.push_str("\n");
        }
        Ok(())
    }

    /// Ends a line, with the comments that stand beside it.
    fn end_line(&mut self, beside: &mut Vec<&Remark>) -> Result<(), PrintError> {
        let beside = std::mem::take(beside);
        if beside.is_empty() {
            self.out.push_str("\n");
        }
        for (at, remark) in beside.iter().enumerate() {
            if at == 0 {
                self.out.push_str(" ");
            }
            self.comment(remark.text.expose(), 0)?;
        }
        Ok(())
    }

    /// The entries of a table: the order of values stays, for the MAC is over them in this order.
    fn lines(&mut self, lines: &[&Line<'_>], path: &mut Vec<String>) -> Result<(), PrintError> {
        let is_value = |line: &&Line<'_>| matches!(line, Line::Pair(..)) && !is_table(line);
        let values = lines.iter().rposition(is_value).map_or(0, |last| last + 1);
        let mut beside = Vec::new();
        for line in &lines[..values] {
            match line {
                Line::Comment(remark) if remark.inline => beside.push(remark),
                Line::Comment(remark) => self.comment(remark.text.expose(), 0)?,
                Line::Pair(key, value) => {
                    self.out.push_str(&spelled_key(key));
                    self.out.push_str(" = ");
                    match value.value() {
                        Some(value) if self.is_in_lines(value) => push_lines(&mut self.out, value.expose()),
                        _ => self.inline(key, value, 0)?,
                    }
                    self.end_line(&mut beside)?;
                }
            }
        }
        let mut above: Vec<&Remark> = Vec::new();
        for line in &lines[values..] {
            match line {
                Line::Comment(remark) => above.push(remark),
                Line::Pair(key, value) => {
                    path.push(key.clone());
                    self.table(value, path, std::mem::take(&mut above))?;
                    path.pop();
                }
            }
        }
        above.iter().try_for_each(|remark| self.comment(remark.text.expose(), 0))
    }

    fn is_in_lines(&self, value: &Plaintext) -> bool {
        self.keeps_lines && matches!(value.kind(), Kind::Str | Kind::Bytes) && value.expose().contains(&b'\n')
    }

    fn header(&mut self, path: &[String], brackets: [&str; 2], above: &[&Remark]) -> Result<(), PrintError> {
        if !self.out.is_empty() {
            self.out.push_str("\n");
        }
        above.iter().try_for_each(|remark| self.comment(remark.text.expose(), 0))?;
        self.out.push_str(brackets[0]);
        self.out.push_str(&spelled_path(path));
        self.out.push_str(brackets[1]);
        self.out.push_str("\n");
        Ok(())
    }

    /// A table, or an array of tables.
    fn table(
        &mut self,
        value: &Content<'_>,
        path: &mut Vec<String>,
        above: Vec<&Remark>,
    ) -> Result<(), PrintError> {
        match value {
            Content::Map(lines) => {
                let only_tables = !lines.is_empty() && lines.iter().all(is_table);
                if !(only_tables && above.is_empty()) {
                    self.header(path, ["[", "]"], &above)?;
                }
                self.lines(&lines.iter().collect::<Vec<_>>(), path)
            }
            Content::List(elements) => {
                let mut above = above;
                let mut inside: Vec<&Remark> = Vec::new();
                for element in elements {
                    match element {
                        Element::Comment(remark) => inside.push(remark),
                        Element::Value(value) => {
                            self.header(path, ["[[", "]]"], &std::mem::take(&mut above))?;
                            // Bound to the path of the list, as what stands in its elements is.
                            for remark in inside.drain(..) {
                                self.comment(remark.text.expose(), 0)?;
                            }
                            if let Content::Map(lines) = value {
                                self.lines(&lines.iter().collect::<Vec<_>>(), path)?;
                            }
                        }
                    }
                }
                inside.iter().try_for_each(|remark| self.comment(remark.text.expose(), 0))
            }
            _ => Ok(()),
        }
    }

    /// A value on one line; on several where there are comments in it.
    fn inline(&mut self, key: &str, value: &Content<'_>, indent: usize) -> Result<(), PrintError> {
        if has_comments(value) {
            return self.over_lines(key, value, indent);
        }
        match value {
            Content::Null => return Err(null_at(key)),
            Content::Held(value) => self.scalar(value)?,
            Content::Borrowed(value) => self.scalar(value)?,
            Content::List(elements) => {
                self.out.push_str("[");
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        self.out.push_str(", ");
                    }
                    if let Element::Value(value) = element {
                        self.inline(key, value, indent)?;
                    }
                }
                self.out.push_str("]");
            }
            Content::Map(lines) if lines.is_empty() => self.out.push_str("{}"),
            Content::Map(lines) => {
                self.out.push_str("{");
                for (at, line) in lines.iter().enumerate() {
                    self.out.push_str(if at > 0 { ", " } else { " " });
                    if let Line::Pair(key, value) = line {
                        self.out.push_str(&spelled_key(key));
                        self.out.push_str(" = ");
                        self.inline(key, value, indent)?;
                    }
                }
                self.out.push_str(" }");
            }
        }
        Ok(())
    }

    fn scalar(&mut self, value: &Plaintext) -> Result<(), PrintError> {
        text::check_value(value)?;
        match value.kind() {
            Kind::Bytes => push_quoted(&mut self.out, value.expose()),
            _ => push_spelled(&mut self.out, value),
        }
        Ok(())
    }

    fn over_lines(&mut self, key: &str, value: &Content<'_>, indent: usize) -> Result<(), PrintError> {
        let below = indent + 4;
        let mut beside: Vec<&Remark> = Vec::new();
        let close = match value {
            Content::List(elements) => {
                self.out.push_str("[\n");
                for element in elements {
                    match element {
                        Element::Comment(remark) if remark.inline => beside.push(remark),
                        Element::Comment(remark) => self.comment(remark.text.expose(), below)?,
                        Element::Value(value) => match sealed_comment(value) {
                            Some(text) => self.comment(text, below)?,
                            None => {
                                self.out.push_str(&" ".repeat(below));
                                self.inline(key, value, below)?;
                                self.out.push_str(",");
                                self.end_line(&mut beside)?;
                            }
                        },
                    }
                }
                "]"
            }
            Content::Map(lines) => {
                self.out.push_str("{\n");
                for line in lines {
                    match line {
                        Line::Comment(remark) if remark.inline => beside.push(remark),
                        Line::Comment(remark) => self.comment(remark.text.expose(), below)?,
                        Line::Pair(key, value) => {
                            self.out.push_str(&" ".repeat(below));
                            self.out.push_str(&spelled_key(key));
                            self.out.push_str(" = ");
                            self.inline(key, value, below)?;
                            self.out.push_str(",");
                            self.end_line(&mut beside)?;
                        }
                    }
                }
                "}"
            }
            _ => "",
        };
        for remark in beside {
            self.comment(remark.text.expose(), below)?;
        }
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(close);
        Ok(())
    }
}
