//! From bytes to tables and places.
//!
//! The events come from `toml_parser`; which table a key belongs to, and what may be defined twice, is decided here.

use std::collections::HashMap;

use toml_parser::parser::{
    Event, EventKind, EventReceiver, RecursionGuard, ValidateWhitespace, parse_document,
};
use toml_parser::{ErrorSink, Source};

use super::text;
use crate::document::{
    Branch, Comment, CommentPart, Document, Entry, Item, Key, Layout, Leaf, LeafStyle, List, METADATA_KEY,
    Map, MetadataKeys, Node, Pair,
};
use crate::secret::SecretText;
use crate::span::Span;
use crate::store::ParseError;

/// So many tables and arrays can stand in each other.
const MAX_DEPTH: usize = 250;

/// The table at the top.
pub(super) const ROOT: usize = 0;

/// Reads a file.
pub(super) fn parse(text: SecretText) -> Result<Document, ParseError> {
    let outline = Outline::of(text.expose())?;
    let root = outline.map(ROOT, text.expose().len());
    let branch = Branch { root, end: text.expose().len(), metadata_keys: MetadataKeys::Entry };
    Ok(Document { text, branches: vec![branch], aliases_expanded: false, comment_texts: Vec::new() })
}

/// How a table came to be, which decides what may be added to it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// The top level.
    Root,
    /// By a header of its own, `[a]` or `[[a]]`.
    Header,
    /// By the header of a table in it.
    Implied,
    /// By dotted keys: what stands before its own keys.
    Dotted(Vec<String>),
    /// In braces.
    Inline,
}

/// A table.
pub(super) struct Table {
    /// The key it stands under.
    pub(super) name: String,
    pub(super) entries: Vec<Slot>,
    index: HashMap<String, usize>,
    pub(super) form: Form,
    /// The braces, or all lines that belong to it.
    pub(super) span: Span,
    pub(super) parent: Option<usize>,
    /// The array of tables it is an element of.
    list: Option<usize>,
    depth: usize,
    /// Behind the line of the last of its own keys, or of its header.
    pub(super) line_end: Option<usize>,
    /// Where that key starts.
    pub(super) last_key: Option<usize>,
}

/// An entry of a table.
pub(super) enum Slot {
    Comment(Comment),
    Pair { key: String, key_span: Span, value: Value, span: Span },
}

/// A value of any shape.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Leaf {
        span: Span,
        in_flow: bool,
        in_list: bool,
    },
    Table(usize),
    /// In brackets.
    Array(usize),
    /// By headers in double brackets.
    Tables(usize),
}

/// An array.
pub(super) struct Array {
    pub(super) elements: Vec<Element>,
    pub(super) span: Span,
}

/// An element of an array.
pub(super) enum Element {
    Comment(Comment),
    Value { value: Value, span: Span, comma: Option<Span> },
}

/// A header and what follows it, up to the next one and the comments above that.
pub(super) struct Section {
    pub(super) table: usize,
    /// Where the line of the header starts.
    pub(super) start: usize,
    /// Where the next one, with the comments above it, starts.
    pub(super) end: usize,
}

/// A line (or several) with a key and its value, outside braces.
pub(super) struct Statement {
    pub(super) table: usize,
    pub(super) key_start: usize,
    /// The whole line with its break.
    pub(super) line: Span,
}

/// A file with all that it takes to change it.
pub(super) struct Outline {
    pub(super) tables: Vec<Table>,
    pub(super) arrays: Vec<Array>,
    pub(super) sections: Vec<Section>,
    pub(super) statements: Vec<Statement>,
}

impl Outline {
    /// Reads a text.
    pub(super) fn of(text: &[u8]) -> Result<Self, ParseError> {
        let source = match std::str::from_utf8(text) {
            Ok(source) => Source::new(source),
            Err(error) => {
                let problem = "these bytes are not UTF-8, which TOML files are in: save the file as UTF-8";
                return Err(ParseError::at(text, error.valid_up_to(), problem));
            }
        };
        if text.contains(&0) {
            let at = text.iter().position(|&byte| byte == 0).unwrap_or(0);
            return Err(ParseError::at(text, at, "a NUL byte stands here: this is no TOML file"));
        }
        let tokens = source.lex().into_vec();
        let mut events: Vec<Event> = Vec::new();
        let mut first: Option<toml_parser::ParseError> = None;
        let mut validated = ValidateWhitespace::new(&mut events, source);
        let mut guarded = RecursionGuard::new(&mut validated as &mut dyn EventReceiver, MAX_DEPTH as u32);
        parse_document(&tokens, &mut guarded, &mut first as &mut dyn ErrorSink);
        if let Some(error) = first {
            return Err(refused(text, &error));
        }
        let root = Table::new(Form::Root, None, 0);
        let outline =
            Outline { tables: vec![root], arrays: Vec::new(), sections: Vec::new(), statements: Vec::new() };
        let builder = Builder {
            text,
            source,
            events: &events,
            at: 0,
            outline,
            section: ROOT,
            pending: Vec::new(),
            pending_start: 0,
            metadata: Metadata::NotYet,
        };
        builder.file()
    }

    /// The value under a key of a table.
    pub(super) fn value(&self, table: usize, key: &str) -> Option<(Value, Span)> {
        let table = &self.tables[table];
        match &table.entries[*table.index.get(key)?] {
            Slot::Pair { value, span, .. } => Some((*value, *span)),
            Slot::Comment(_) => None,
        }
    }

    /// The keys that lead to a table.
    pub(super) fn path(&self, table: usize) -> Vec<String> {
        let above = std::iter::successors(Some(table), |&table| self.tables[table].parent);
        let mut path: Vec<String> =
            above.filter(|&table| table != ROOT).map(|table| self.tables[table].name.clone()).collect();
        path.reverse();
        path
    }

    /// Whether `table` is `other` or stands in it.
    pub(super) fn is_in(&self, table: usize, other: usize) -> bool {
        std::iter::successors(Some(table), |&table| self.tables[table].parent).any(|table| table == other)
    }

    /// All of a value.
    fn span(&self, value: Value) -> Span {
        match value {
            Value::Leaf { span, .. } => span,
            Value::Table(table) => self.tables[table].span,
            Value::Array(array) | Value::Tables(array) => self.arrays[array].span,
        }
    }

    fn map(&self, table: usize, text_len: usize) -> Map {
        let Table { entries, form, span, .. } = &self.tables[table];
        let entries = entries.iter().map(|slot| match slot {
            Slot::Comment(comment) => Entry::Comment(*comment),
            Slot::Pair { key, key_span, value, span } => {
                let key = Key { name: key.clone(), span: *key_span, is_text: true };
                let span = match value {
                    Value::Table(_) | Value::Tables(_) if !self.is_inline(*value) => self.span(*value),
                    _ => *span,
                };
                Entry::Pair(Pair { key, value: self.node(*value, text_len), span })
            }
        });
        let (layout, span) = match form {
            Form::Inline => (Layout::Flow, *span),
            Form::Root => (Layout::Block { column: 0 }, Span::new(0, text_len)),
            _ => (Layout::Block { column: 0 }, *span),
        };
        Map { entries: entries.collect(), span, layout }
    }

    /// Whether a value stands in braces.
    pub(super) fn is_inline(&self, value: Value) -> bool {
        matches!(value, Value::Table(table) if self.tables[table].form == Form::Inline)
    }

    fn node(&self, value: Value, text_len: usize) -> Node {
        match value {
            Value::Leaf { span, in_flow, in_list } => Node::Leaf(Leaf {
                span,
                style: LeafStyle::Plain,
                in_flow,
                tag: None,
                parent_indent: -1,
                in_list,
                sealed_comment: false,
                ends_empty_list: false,
            }),
            Value::Table(table) => Node::Map(self.map(table, text_len)),
            Value::Array(array) | Value::Tables(array) => {
                let Array { elements, span } = &self.arrays[array];
                let items = elements.iter().map(|element| match element {
                    Element::Comment(comment) => Item::Comment(*comment),
                    Element::Value { value, .. } => {
                        Item::Value { node: self.node(*value, text_len), span: self.span(*value) }
                    }
                });
                let layout = match value {
                    Value::Tables(_) => Layout::Block { column: 0 },
                    _ => Layout::Flow,
                };
                Node::List(List { items: items.collect(), span: *span, layout })
            }
        }
    }
}

impl Table {
    fn new(form: Form, parent: Option<usize>, depth: usize) -> Self {
        Self {
            name: String::new(),
            entries: Vec::new(),
            index: HashMap::new(),
            form,
            span: Span::new(0, 0),
            parent,
            list: None,
            depth,
            line_end: None,
            last_key: None,
        }
    }
}

/// An error of the parser: what is wrong and where, with nothing of the text.
fn refused(text: &[u8], error: &toml_parser::ParseError) -> ParseError {
    let at = error.unexpected().or(error.context()).map_or(text.len(), |span| span.start());
    ParseError::at(text, at.min(text.len()), error.description())
}

/// How far the metadata has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Metadata {
    NotYet,
    Inside,
    Left,
}

struct Builder<'t> {
    text: &'t [u8],
    source: Source<'t>,
    events: &'t [Event],
    at: usize,
    outline: Outline,
    /// The table whose header came last.
    section: usize,
    /// Comments on lines of their own, for what follows them directly.
    pending: Vec<Comment>,
    pending_start: usize,
    metadata: Metadata,
}

/// A key that may have dots.
type KeyPart = (String, Span);

impl Builder<'_> {
    fn file(mut self) -> Result<Outline, ParseError> {
        let mut on_line = false;
        // The table whose last entry stands on this line; headers have none.
        let mut beside: Option<usize> = None;
        while let Some(event) = self.events.get(self.at) {
            match event.kind() {
                EventKind::Newline => {
                    if !on_line && beside.is_none() {
                        self.keep_pending(self.section);
                    }
                    (on_line, beside) = (false, None);
                    self.at += 1;
                }
                EventKind::Comment => {
                    let comment = self.comment(on_line, false);
                    match beside {
                        Some(table) => {
                            let entries = &mut self.outline.tables[table].entries;
                            entries.insert(entries.len() - 1, Slot::Comment(comment));
                            let name = entries.len() - 1;
                            self.reindex_last(table, name);
                        }
                        None if on_line => {
                            let header = Comment { inline: false, ..comment };
                            self.outline.tables[self.section].entries.push(Slot::Comment(header));
                        }
                        None => {
                            if self.pending.is_empty() {
                                self.pending_start = line_start(self.text, comment.span.start);
                            }
                            self.pending.push(comment);
                        }
                    }
                    on_line = true;
                    self.at += 1;
                }
                EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                    self.header()?;
                    (on_line, beside) = (true, None);
                }
                EventKind::SimpleKey => {
                    beside = Some(self.statement()?);
                    on_line = true;
                }
                _ => self.at += 1,
            }
        }
        self.keep_pending(self.section);
        if let Some(last) = self.outline.sections.last_mut() {
            last.end = self.text.len();
        }
        Ok(self.outline)
    }

    /// The last entry of a table was moved to `place`.
    fn reindex_last(&mut self, table: usize, place: usize) {
        let table = &mut self.outline.tables[table];
        if let Slot::Pair { key, .. } = &table.entries[place] {
            table.index.insert(key.clone(), place);
        }
    }

    fn span(&self) -> Span {
        let span = self.events[self.at].span();
        Span::new(span.start(), span.end())
    }

    fn error(&self, at: usize, problem: impl Into<String>) -> ParseError {
        ParseError::at(self.text, at, problem)
    }

    fn comment(&self, inline: bool, in_list: bool) -> Comment {
        let span = self.span();
        let span = Span::new(span.start + 1, span.end);
        Comment { span, inline, in_list, unseen: false, part: CommentPart::Whole }
    }

    /// Puts the comments that wait for what follows them into a table.
    fn keep_pending(&mut self, table: usize) {
        let comments = std::mem::take(&mut self.pending);
        if let Some(last) = comments.last() {
            let end = line_end(self.text, last.span.end);
            self.extend(table, Span::new(self.pending_start, end));
            if self.outline.tables[table].last_key.is_none() && table == ROOT {
                self.outline.tables[table].line_end = Some(end);
            }
        }
        self.outline.tables[table].entries.extend(comments.into_iter().map(Slot::Comment));
    }

    /// As [`Builder::keep_pending`], for comments directly above an entry.
    fn put_pending(&mut self, table: usize) {
        let comments = std::mem::take(&mut self.pending);
        self.outline.tables[table].entries.extend(comments.into_iter().map(Slot::Comment));
    }

    /// The lines of `span` belong to a table and to all that it stands in.
    fn extend(&mut self, table: usize, span: Span) {
        let joined = |old: Span| match old.is_empty() {
            true => span,
            false => Span::new(old.start.min(span.start), old.end.max(span.end)),
        };
        let mut next = Some(table);
        while let Some(at) = next {
            let table = &mut self.outline.tables[at];
            if table.form != Form::Inline {
                table.span = joined(table.span);
            }
            if let Some(list) = table.list {
                self.outline.arrays[list].span = joined(self.outline.arrays[list].span);
            }
            next = self.outline.tables[at].parent;
        }
    }

    /// The parts of a key, up to the event behind it.
    fn key(&mut self) -> Result<Vec<KeyPart>, ParseError> {
        let mut parts = Vec::new();
        while let Some(event) = self.events.get(self.at) {
            match event.kind() {
                EventKind::SimpleKey => {
                    let mut name = String::new();
                    let mut error = None;
                    let Some(raw) = self.source.get(event.span()) else {
                        return Err(self.error(event.span().start(), "this is no key"));
                    };
                    let raw = toml_parser::Raw::new_unchecked(raw.as_str(), event.encoding(), event.span());
                    raw.decode_key(&mut name, &mut error);
                    if let Some(error) = error {
                        return Err(refused(self.text, &error));
                    }
                    parts.push((name, self.span()));
                }
                EventKind::KeySep | EventKind::Whitespace => {}
                _ => break,
            }
            self.at += 1;
        }
        if parts.is_empty() {
            return Err(self.error(self.text.len(), "a key must stand here"));
        }
        Ok(parts)
    }

    fn check_depth(&self, depth: usize, at: usize) -> Result<(), ParseError> {
        match depth > MAX_DEPTH {
            true => Err(self.error(at, format!("tables and arrays are nested more than {MAX_DEPTH} deep"))),
            false => Ok(()),
        }
    }

    fn new_table(&mut self, form: Form, parent: usize, (name, span): &KeyPart) -> Result<usize, ParseError> {
        let depth = self.outline.tables[parent].depth + 1;
        self.check_depth(depth, span.start)?;
        self.outline.tables.push(Table { name: name.clone(), ..Table::new(form, Some(parent), depth) });
        Ok(self.outline.tables.len() - 1)
    }

    fn insert(&mut self, table: usize, key: &KeyPart, value: Value, span: Span) {
        let table = &mut self.outline.tables[table];
        table.index.insert(key.0.clone(), table.entries.len());
        table.entries.push(Slot::Pair { key: key.0.clone(), key_span: key.1, value, span });
    }

    // ---------------------------------------------------------------- headers

    fn header(&mut self) -> Result<(), ParseError> {
        let is_array = self.events[self.at].kind() == EventKind::ArrayTableOpen;
        let open = self.span();
        self.at += 1;
        while self.events.get(self.at).is_some_and(|event| event.kind() == EventKind::Whitespace) {
            self.at += 1;
        }
        let parts = self.key()?;
        while let Some(event) = self.events.get(self.at) {
            self.at += 1;
            if matches!(event.kind(), EventKind::StdTableClose | EventKind::ArrayTableClose) {
                break;
            }
        }
        let start = line_start(self.text, open.start);
        let above = if self.pending.is_empty() { start } else { self.pending_start };
        if let Some(last) = self.outline.sections.last_mut() {
            last.end = above;
        }
        self.metadata = match (parts[0].0 == METADATA_KEY, self.metadata) {
            (true, Metadata::Left) => {
                let problem =
                    "a second part of the table 'sops', with other tables in between: there can be only one";
                return Err(self.error(open.start, problem));
            }
            (true, _) => Metadata::Inside,
            (false, Metadata::Inside) => Metadata::Left,
            (false, other) => other,
        };
        let (last, above) = parts.split_last().expect("a key has a part");
        let mut table = ROOT;
        for part in above {
            table = match self.outline.value(table, &part.0) {
                None => {
                    self.put_pending(table);
                    let new = self.new_table(Form::Implied, table, part)?;
                    self.insert(table, part, Value::Table(new), part.1);
                    new
                }
                Some((Value::Table(inner), _)) if self.outline.tables[inner].form != Form::Inline => inner,
                Some((Value::Tables(list), _)) => self.last_of(list),
                Some(_) => return Err(self.not_a_table(part)),
            };
        }
        let found = self.outline.value(table, &last.0).map(|(value, _)| value);
        let table = match (found, is_array) {
            (None, false) => {
                self.put_pending(table);
                let new = self.new_table(Form::Header, table, last)?;
                self.insert(table, last, Value::Table(new), last.1);
                new
            }
            (Some(Value::Table(inner)), false) => {
                match self.outline.tables[inner].form {
                    Form::Implied => self.outline.tables[inner].form = Form::Header,
                    Form::Inline => return Err(self.not_a_table(last)),
                    _ => {
                        return Err(
                            self.error(last.1.start, format!("the table {:?} is defined twice", last.0))
                        );
                    }
                }
                inner
            }
            (None, true) => {
                self.put_pending(table);
                self.outline.arrays.push(Array { elements: Vec::new(), span: Span::new(0, 0) });
                let list = self.outline.arrays.len() - 1;
                self.insert(table, last, Value::Tables(list), last.1);
                self.new_element(list, table, last)?
            }
            (Some(Value::Tables(list)), true) => self.new_element(list, table, last)?,
            (Some(_), _) => return Err(self.not_a_table(last)),
        };
        self.put_pending(table);
        self.section = table;
        let line = Span::new(start, line_end(self.text, open.end));
        self.outline.tables[table].line_end = Some(line.end);
        self.outline.sections.push(Section { table, start, end: self.text.len() });
        self.extend(table, line);
        Ok(())
    }

    fn new_element(&mut self, list: usize, parent: usize, key: &KeyPart) -> Result<usize, ParseError> {
        let new = self.new_table(Form::Header, parent, key)?;
        self.outline.tables[new].list = Some(list);
        let element = Element::Value { value: Value::Table(new), span: key.1, comma: None };
        self.outline.arrays[list].elements.push(element);
        Ok(new)
    }

    fn last_of(&self, list: usize) -> usize {
        let last = self.outline.arrays[list].elements.iter().rev().find_map(|element| match element {
            Element::Value { value: Value::Table(table), .. } => Some(*table),
            _ => None,
        });
        last.expect("an array of tables has a table")
    }

    fn not_a_table(&self, (name, span): &KeyPart) -> ParseError {
        self.error(
            span.start,
            format!("{name:?} is defined already, and not as a table that can be added to"),
        )
    }

    // ---------------------------------------------------------------- keys and values

    /// A line with a key and a value: the table it belongs to.
    fn statement(&mut self) -> Result<usize, ParseError> {
        let section = self.section;
        let start = self.span().start;
        let parts = self.key()?;
        if section == ROOT && parts[0].0 == METADATA_KEY && self.metadata == Metadata::NotYet {
            self.metadata = Metadata::Left;
        }
        let (table, end) = self.pair(section, parts, false)?;
        let line = Span::new(line_start(self.text, start), line_end(self.text, end));
        self.outline.statements.push(Statement { table, key_start: start, line });
        let mut at = Some(table);
        while let Some(table) = at {
            self.outline.tables[table].line_end = Some(line.end);
            self.outline.tables[table].last_key = Some(start);
            at = self.outline.tables[table].parent.filter(|_| table != section);
        }
        self.extend(table, line);
        Ok(table)
    }

    /// A key and its value: the table it belongs to, and where it ends.
    fn pair(
        &mut self,
        base: usize,
        parts: Vec<KeyPart>,
        in_flow: bool,
    ) -> Result<(usize, usize), ParseError> {
        let (last, above) = parts.split_last().expect("a key has a part");
        let mut table = base;
        for (number, part) in above.iter().enumerate() {
            table = match self.outline.value(table, &part.0) {
                None => {
                    self.put_pending(table);
                    let prefix = parts[..=number].iter().map(|part| part.0.clone()).collect();
                    let new = self.new_table(Form::Dotted(prefix), table, part)?;
                    self.outline.tables[new].span = Span::new(parts[0].1.start, last.1.end);
                    self.insert(table, part, Value::Table(new), part.1);
                    new
                }
                Some((Value::Table(inner), _))
                    if matches!(self.outline.tables[inner].form, Form::Dotted(_)) =>
                {
                    inner
                }
                Some(_) => return Err(self.not_a_table(part)),
            };
        }
        if self.outline.value(table, &last.0).is_some() {
            return Err(self.error(last.1.start, format!("the key {:?} is there twice", last.0)));
        }
        self.put_pending(table);
        while self.events.get(self.at).is_some_and(|event| {
            matches!(event.kind(), EventKind::KeyValSep | EventKind::Whitespace | EventKind::Newline)
        }) {
            self.at += 1;
        }
        let depth = self.outline.tables[table].depth + 1;
        // The place is taken before the value is read: comments in it are its own.
        let (value, span) = self.value(table, depth, in_flow, false)?;
        self.insert(table, last, value, Span::new(parts[0].1.start, span.end));
        Ok((table, span.end))
    }

    fn value(
        &mut self,
        parent: usize,
        depth: usize,
        in_flow: bool,
        in_list: bool,
    ) -> Result<(Value, Span), ParseError> {
        let Some(event) = self.events.get(self.at) else {
            return Err(self.error(self.text.len(), "a value must stand here"));
        };
        let span = self.span();
        self.check_depth(depth, span.start)?;
        match event.kind() {
            EventKind::Scalar => {
                self.at += 1;
                text::check(span.of(self.text))
                    .map_err(|(offset, problem)| self.error(span.start + offset, problem))?;
                Ok((Value::Leaf { span, in_flow, in_list }, span))
            }
            EventKind::ArrayOpen => self.array(parent, depth),
            EventKind::InlineTableOpen => self.inline_table(parent, depth),
            _ => Err(self.error(span.start, "a value must stand here")),
        }
    }

    fn array(&mut self, parent: usize, depth: usize) -> Result<(Value, Span), ParseError> {
        let start = self.span().start;
        self.at += 1;
        let mut elements: Vec<Element> = Vec::new();
        let mut on_line = false;
        loop {
            let Some(event) = self.events.get(self.at) else {
                return Err(self.error(start, "the array that begins here has no closing bracket"));
            };
            match event.kind() {
                EventKind::ArrayClose => break,
                EventKind::Newline => {
                    on_line = false;
                    self.at += 1;
                }
                EventKind::Comment => {
                    let comment = self.comment(on_line, !on_line);
                    let place = elements.len() - usize::from(on_line);
                    elements.insert(place, Element::Comment(comment));
                    self.at += 1;
                }
                EventKind::ValueSep => {
                    let span = self.span();
                    if let Some(Element::Value { comma, .. }) =
                        elements.iter_mut().rev().find(|element| matches!(element, Element::Value { .. }))
                    {
                        *comma = Some(span);
                    }
                    self.at += 1;
                }
                EventKind::Scalar | EventKind::ArrayOpen | EventKind::InlineTableOpen => {
                    let (value, span) = self.value(parent, depth + 1, true, true)?;
                    elements.push(Element::Value { value, span, comma: None });
                    on_line = true;
                }
                _ => self.at += 1,
            }
        }
        let span = Span::new(start, self.span().end);
        self.at += 1;
        self.outline.arrays.push(Array { elements, span });
        Ok((Value::Array(self.outline.arrays.len() - 1), span))
    }

    fn inline_table(&mut self, parent: usize, depth: usize) -> Result<(Value, Span), ParseError> {
        let start = self.span().start;
        self.at += 1;
        let table = self.new_table(Form::Inline, parent, &(String::new(), Span::at(start)))?;
        self.outline.tables[table].depth = depth;
        let mut beside: Option<usize> = None;
        loop {
            let Some(event) = self.events.get(self.at) else {
                return Err(self.error(start, "the table that begins here has no closing brace"));
            };
            match event.kind() {
                EventKind::InlineTableClose => break,
                EventKind::Newline => {
                    beside = None;
                    self.at += 1;
                }
                EventKind::Comment => {
                    let comment = self.comment(beside.is_some(), false);
                    match beside {
                        Some(beside) => {
                            let entries = &mut self.outline.tables[beside].entries;
                            entries.insert(entries.len() - 1, Slot::Comment(comment));
                            let place = entries.len() - 1;
                            self.reindex_last(beside, place);
                        }
                        None => self.outline.tables[table].entries.push(Slot::Comment(comment)),
                    }
                    self.at += 1;
                }
                EventKind::SimpleKey => {
                    let parts = self.key()?;
                    beside = Some(self.pair(table, parts, true)?.0);
                }
                _ => self.at += 1,
            }
        }
        let span = Span::new(start, self.span().end);
        self.outline.tables[table].span = span;
        self.at += 1;
        Ok((Value::Table(table), span))
    }
}

/// Where the line of `at` starts.
pub(super) fn line_start(text: &[u8], at: usize) -> usize {
    text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |found| found + 1)
}

/// Behind the line break of the line of `at`.
pub(super) fn line_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |found| at + found + 1)
}
