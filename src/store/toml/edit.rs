//! Setting and removing values as changes to the text.

use super::parse::{Array, Element, Form, Outline, ROOT, Slot, Table, Value, line_end, line_start};
use super::{is_metadata, line_break, print, text};
use crate::document::{Document, FindError, Patch};
use crate::key_path::{Step, TreePath};
use crate::secret::SecretText;
use crate::span::Span;
use crate::store::{Edit, EditError};
use crate::value::Tree;

/// Sets what `path` names to `value`.
///
/// As in the other formats: missing parents are made, a scalar in the way is replaced by the new structure, an index
/// at or behind the end appends. What is new stands in one line: tables in braces.
pub(super) fn set(document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
    let Some(Step::Key(_)) = path.steps().first() else {
        let is_root = path.steps().is_empty();
        return Err(if is_root { EditError::WholeFile } else { EditError::RootIsMap });
    };
    let text = document.bytes();
    let outline = Outline::of(text)?;
    let editor = Editor { text, outline: &outline };
    let mut found = Value::Table(ROOT);
    let mut parent = (ROOT, "");
    for (number, step) in path.steps().iter().enumerate() {
        let rest = &path.steps()[number + 1..];
        found = match (found, step) {
            (Value::Table(table), Step::Key(key)) => {
                parent = (table, key);
                match outline.value(table, key) {
                    Some((value, _)) => value,
                    None => return editor.append_pair(table, key, &built(rest, value)),
                }
            }
            (Value::Array(array) | Value::Tables(array), Step::Index(index)) => {
                let is_tables = matches!(found, Value::Tables(_));
                match outline.arrays[array].elements.get(*index) {
                    Some(Element::Value { value, .. }) => *value,
                    Some(Element::Comment(_)) => return Err(EditError::IsComment),
                    None if is_tables => return editor.append_table(array, parent, &built(rest, value)),
                    None => return editor.append_item(&outline.arrays[array], &built(rest, value)),
                }
            }
            (Value::Leaf { span, .. }, _) => {
                return editor.replace(span, &built(&path.steps()[number..], value));
            }
            (_, Step::Index(index)) => return Err(FindError::NotAList { index: *index }.into()),
            (_, Step::Key(key)) => return Err(FindError::NotAMap { key: key.clone() }.into()),
        };
    }
    match found {
        Value::Leaf { span, .. } => editor.replace(span, value),
        Value::Array(array) => editor.replace(outline.arrays[array].span, value),
        Value::Table(table) if outline.tables[table].form == Form::Inline => {
            editor.replace(outline.tables[table].span, value)
        }
        // Headers make room for a line of its own.
        _ if matches!(path.steps().last(), Some(Step::Key(_))) => {
            let (table, key) = parent;
            let mut edit = editor.append_pair(table, key, value)?;
            let removed = editor.removed(found)?;
            if removed.iter().any(|span| span.start < edit.place && edit.place < span.end) {
                return Err(EditError::NoRoom);
            }
            removed.into_iter().for_each(|span| edit.patch.replace(span, ""));
            Ok(edit)
        }
        _ => Err(EditError::NoRoom),
    }
}

/// Removes what `path` names.
pub(super) fn unset(document: &Document, path: &TreePath) -> Result<Patch, EditError> {
    let (last, parents) = path.steps().split_last().ok_or(EditError::WholeFile)?;
    let text = document.bytes();
    let outline = Outline::of(text)?;
    let editor = Editor { text, outline: &outline };
    let mut found = Value::Table(ROOT);
    for step in parents {
        found = editor.child(found, step)?.0;
    }
    let (value, span) = editor.child(found, last)?;
    let mut patch = Patch::new();
    let removed = match (found, last) {
        (Value::Array(array), Step::Index(index)) => editor.element(&outline.arrays[array], *index),
        (Value::Table(table), _) if editor.base(table).form == Form::Inline => {
            vec![editor.pair_in_braces(table, span)?]
        }
        _ => match value {
            Value::Leaf { .. } | Value::Array(_) => editor.line(span),
            value if outline.is_inline(value) => editor.line(span),
            value => editor.removed(value)?,
        },
    };
    removed.into_iter().for_each(|span| patch.replace(span, ""));
    Ok(patch)
}

/// The value inside the parents that `steps` ask for.
fn built(steps: &[Step], value: &Tree) -> Tree {
    steps.iter().rev().fold(value.copy(), |inner, step| match step {
        Step::Key(key) => Tree::Map(vec![(key.clone(), inner)]),
        Step::Index(_) => Tree::List(vec![inner]),
    })
}

struct Editor<'e> {
    text: &'e [u8],
    outline: &'e Outline,
}

impl<'e> Editor<'e> {
    /// The child that a step names, and where it stands.
    fn child(&self, value: Value, step: &Step) -> Result<(Value, Span), EditError> {
        match (value, step) {
            (Value::Table(table), Step::Key(key)) => {
                let found = self.outline.value(table, key);
                Ok(found.ok_or_else(|| FindError::NoSuchKey { key: key.clone() })?)
            }
            (Value::Array(array) | Value::Tables(array), Step::Index(index)) => {
                match self.outline.arrays[array].elements.get(*index) {
                    Some(Element::Value { value, span, .. }) => Ok((*value, *span)),
                    Some(Element::Comment(_)) => Err(EditError::IsComment),
                    None => Err(FindError::OutOfBounds { index: *index }.into()),
                }
            }
            (_, Step::Index(index)) => Err(FindError::NotAList { index: *index }.into()),
            (_, Step::Key(key)) => Err(FindError::NotAMap { key: key.clone() }.into()),
        }
    }

    /// The table whose line or braces the keys of `table` stand in.
    fn base(&self, table: usize) -> &'e Table {
        let mut above = &self.outline.tables[table];
        while let (Form::Dotted(_), Some(parent)) = (&above.form, above.parent) {
            above = &self.outline.tables[parent];
        }
        above
    }

    fn replace(&self, span: Span, value: &Tree) -> Result<Edit, EditError> {
        edit(span, printed(value)?, span.start)
    }

    fn newline(&self) -> &'static str {
        line_break(self.text)
    }

    // ---------------------------------------------------------------- new values

    fn append_pair(&self, table: usize, key: &str, value: &Tree) -> Result<Edit, EditError> {
        let found = &self.outline.tables[table];
        let mut entry = SecretText::default();
        if let Form::Dotted(prefix) = &found.form {
            entry.push_str(&text::spelled_path(prefix));
            entry.push_str(".");
        }
        entry.push_str(&text::spelled_key(key));
        entry.push_str(" = ");
        entry.push(printed(value)?.expose());
        let newline = self.newline();
        let mut line = SecretText::default();
        match found.form {
            _ if self.base(table).form == Form::Inline => {
                let mut pairs = Vec::new();
                self.pairs(self.base(table), &mut pairs);
                let last = pairs.into_iter().max_by_key(|span| span.end);
                let at = last.map_or(self.base(table).span.start + 1, |last| last.end);
                line.push_str(if last.is_some() { ", " } else { " " });
                line.push(entry.expose());
                if last.is_none() {
                    line.push_str(" ");
                }
                edit(Span::at(at), line, at)
            }
            Form::Implied => {
                let sections = &self.outline.sections;
                let below = sections.iter().find(|section| self.outline.is_in(section.table, table));
                let at = below.ok_or(EditError::NoRoom)?.start;
                let header = format!("[{}]{newline}", text::spelled_path(&self.outline.path(table)));
                line.push_str(&header);
                line.push(entry.expose());
                line.push_str(newline);
                line.push_str(newline);
                edit(Span::at(at), line, at)
            }
            _ => {
                let Some(at) = found.line_end else {
                    let at = if self.text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
                    line.push(entry.expose());
                    line.push_str(newline);
                    if !self.text[at..].is_empty() && !self.text[at..].starts_with(newline.as_bytes()) {
                        line.push_str(newline);
                    }
                    return edit(Span::at(at), line, at);
                };
                let is_open = !self.text[..at].ends_with(b"\n");
                if is_open {
                    line.push_str(newline);
                }
                if let Some(last) = found.last_key {
                    let indent = &self.text[line_start(self.text, last)..last];
                    line.push(&indent[..indent.len() - indent.trim_ascii_start().len()]);
                }
                line.push(entry.expose());
                if !is_open {
                    line.push_str(newline);
                }
                edit(Span::at(at), line, at)
            }
        }
    }

    fn append_table(
        &self,
        list: usize,
        (parent, key): (usize, &str),
        value: &Tree,
    ) -> Result<Edit, EditError> {
        let Tree::Map(pairs) = value else { return Err(EditError::NoRoom) };
        let is_below = |table: usize| {
            self.outline.arrays[list].elements.iter().any(|element| {
                matches!(element, Element::Value { value: Value::Table(element), .. }
                    if self.outline.is_in(table, *element))
            })
        };
        let last = self.outline.sections.iter().rfind(|section| is_below(section.table));
        let at = last.ok_or(EditError::NoRoom)?.end;
        let newline = self.newline();
        let mut path = self.outline.path(parent);
        path.push(key.to_owned());
        let mut entry = SecretText::default();
        if !self.text[..at].ends_with(b"\n") {
            entry.push_str(newline);
        }
        entry.push_str(&format!("[[{}]]{newline}", text::spelled_path(&path)));
        for (key, value) in pairs {
            entry.push_str(&text::spelled_key(key));
            entry.push_str(" = ");
            entry.push(printed(value)?.expose());
            entry.push_str(newline);
        }
        entry.push_str(newline);
        edit(Span::at(at), entry, at)
    }

    fn append_item(&self, array: &Array, value: &Tree) -> Result<Edit, EditError> {
        let value = printed(value)?;
        let last = array.elements.iter().rev().find_map(|element| match element {
            Element::Value { span, comma, .. } => Some((*span, *comma)),
            Element::Comment(_) => None,
        });
        let mut item = SecretText::default();
        let Some((span, comma)) = last else {
            let at = array.span.end - 1;
            return edit(Span::at(at), value, at);
        };
        let start = line_start(self.text, span.start);
        let end = line_end(self.text, comma.map_or(span.end, |comma| comma.end));
        let is_alone = is_blank(&self.text[start..span.start]) && end < array.span.end;
        if !is_alone {
            item.push_str(", ");
            item.push(value.expose());
            return edit(Span::at(span.end), item, span.end);
        }
        item.push(&self.text[start..span.start]);
        item.push(value.expose());
        if comma.is_some() {
            item.push_str(",");
        }
        item.push_str(self.newline());
        let mut edit = edit(Span::at(end), item, end)?;
        if comma.is_none() {
            edit.patch.replace(Span::at(span.end), ",");
        }
        Ok(edit)
    }

    // ---------------------------------------------------------------- what goes

    /// The line (or several) of a key.
    fn line(&self, span: Span) -> Vec<Span> {
        let statements = self.outline.statements.iter();
        statements
            .filter(|statement| statement.key_start == span.start)
            .map(|statement| statement.line)
            .collect()
    }

    /// All lines of a table, or of the tables of an array.
    fn removed(&self, value: Value) -> Result<Vec<Span>, EditError> {
        let tables: Vec<usize> = match value {
            Value::Table(table) => vec![table],
            Value::Tables(list) => {
                let elements = self.outline.arrays[list].elements.iter();
                let tables = elements.filter_map(|element| match element {
                    Element::Value { value: Value::Table(table), .. } => Some(*table),
                    _ => None,
                });
                tables.collect()
            }
            _ => Vec::new(),
        };
        if tables.iter().any(|&table| is_metadata(&self.outline.path(table))) {
            return Err(EditError::NoRoom);
        }
        let is_below = |table: usize| tables.iter().any(|&above| self.outline.is_in(table, above));
        let sections = self.outline.sections.iter().filter(|section| is_below(section.table));
        let sections: Vec<Span> = sections.map(|section| Span::new(section.start, section.end)).collect();
        let lines = self.outline.statements.iter().filter(|statement| is_below(statement.table));
        let alone = lines.map(|statement| statement.line).filter(|line| {
            !sections.iter().any(|section| section.start <= line.start && line.end <= section.end)
        });
        let alone: Vec<Span> = alone.collect();
        Ok(sections.into_iter().chain(alone).collect())
    }

    /// Where the keys in a pair of braces and their values stand, dotted ones too.
    fn pairs(&self, table: &Table, found: &mut Vec<Span>) {
        for slot in &table.entries {
            if let Slot::Pair { value, span, .. } = slot {
                match value {
                    Value::Table(inner) if matches!(self.outline.tables[*inner].form, Form::Dotted(_)) => {
                        self.pairs(&self.outline.tables[*inner], found);
                    }
                    _ => found.push(*span),
                }
            }
        }
    }

    /// A key in braces with its comma.
    fn pair_in_braces(&self, table: usize, span: Span) -> Result<Span, EditError> {
        let base = self.base(table);
        let mut pairs = Vec::new();
        self.pairs(base, &mut pairs);
        pairs.sort_by_key(|pair| pair.start);
        let at = pairs.iter().position(|pair| *pair == span).ok_or(EditError::NoRoom)?;
        let behind = self.text[span.end..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let comma = self.text[span.end + behind..].starts_with(b",");
        let end = span.end + if comma { behind + 1 } else { 0 };
        let line = Span::new(line_start(self.text, span.start), line_end(self.text, end));
        let rest = self.text[end..line.end].trim_ascii();
        if is_blank(&self.text[line.start..span.start])
            && (rest.is_empty() || rest.starts_with(b"#"))
            && base.span.start < line.start
            && line.end < base.span.end
        {
            return Ok(line);
        }
        let removed = match (pairs.get(at + 1), at.checked_sub(1)) {
            (Some(next), _) => Span::new(span.start, next.start),
            (None, Some(before)) => Span::new(pairs[before].end, span.end),
            (None, None) => Span::new(base.span.start + 1, base.span.end - 1),
        };
        let has_comment = |slot: &Slot| {
            matches!(slot, Slot::Comment(comment)
            if removed.start <= comment.span.start && comment.span.start < removed.end)
        };
        match base.entries.iter().any(has_comment) {
            true => Err(EditError::NoRoom),
            false => Ok(removed),
        }
    }

    /// An element of an array with its comma, and with its line where it has one.
    fn element(&self, array: &Array, index: usize) -> Vec<Span> {
        let Some(Element::Value { span, comma, .. }) = array.elements.get(index) else { return Vec::new() };
        let end = comma.map_or(span.end, |comma| comma.end);
        let (start, line_end) = (line_start(self.text, span.start), line_end(self.text, end));
        if is_blank(&self.text[start..span.start])
            && is_blank(&self.text[end..line_end])
            && array.span.start < start
            && line_end < array.span.end
        {
            return vec![Span::new(start, line_end)];
        }
        let before = array.elements[..index].iter().rev().find_map(|element| match element {
            Element::Value { span, comma, .. } => Some((*span, *comma)),
            Element::Comment(_) => None,
        });
        match (comma, before) {
            (Some(_), _) => {
                let blanks = self.text[end..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                vec![Span::new(span.start, end + blanks)]
            }
            (None, Some((before, _))) if !self.text[before.end..span.start].contains(&b'#') => {
                vec![Span::new(before.end, span.end)]
            }
            _ => vec![*span],
        }
    }
}

fn is_blank(text: &[u8]) -> bool {
    text.trim_ascii().is_empty()
}

fn printed(value: &Tree) -> Result<SecretText, EditError> {
    // What TOML has no place for was refused before.
    print::tree(value).map_err(|_| EditError::NoRoom)
}

fn edit(span: Span, text: SecretText, place: usize) -> Result<Edit, EditError> {
    let mut patch = Patch::new();
    patch.replace(span, text);
    Ok(Edit { patch, place })
}
