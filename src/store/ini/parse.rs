//! Reading INI as sops does (the library ini.v1): keys, values and comments as places in the text.
//!
//! Lines end at line feeds only. A comment belongs to the key or section below it; together with one behind the value
//! it is one comment to sops, however many lines it has.

use std::collections::HashSet;

use crate::document::{
    Branch, Comment, CommentPart, Document, Entry, Key, Layout, Leaf, LeafStyle, METADATA_KEY, Map,
    MetadataKeys, Node, Pair,
};
use crate::secret::{SecretBytes, SecretText};
use crate::span::Span;
use crate::store::ParseError;

/// The section of the keys above the first header. It is always there.
pub(super) const DEFAULT: &str = "DEFAULT";

/// Reads a text.
pub(super) fn parse(text: SecretText) -> Result<Document, ParseError> {
    let bytes = text.expose();
    if bytes.starts_with(&[0xFE, 0xFF]) || bytes.starts_with(&[0xFF, 0xFE]) {
        return Err(ParseError::at(bytes, 0, "the text is UTF-16; save it as UTF-8"));
    }
    let start = content_start(bytes);
    let first = Section {
        name: Key { name: DEFAULT.to_owned(), span: Span::at(start), is_text: true },
        span: Span::at(start),
        entries: Vec::new(),
        auto_keys: 0,
        names: HashSet::new(),
    };
    let mut reader =
        Reader { text: bytes, sections: vec![first], pending: Vec::new(), comment_texts: Vec::new() };
    reader.read(start)?;
    let Reader { sections, comment_texts, .. } = reader;
    let entries = sections.into_iter().map(|section| {
        let layout = Layout::Block { column: 0 };
        let map = Map { entries: section.entries, span: section.span, layout };
        Entry::Pair(Pair { key: section.name, value: Node::Map(map), span: section.span })
    });
    let (entries, end) = (entries.collect(), bytes.len());
    let root = Map { entries, span: Span::new(0, end), layout: Layout::Block { column: 0 } };
    let branch = Branch { root, end, metadata_keys: MetadataKeys::Entry };
    Ok(Document { text, branches: vec![branch], aliases_expanded: false, comment_texts })
}

/// Where the content starts: behind a byte order mark.
pub(super) fn content_start(text: &[u8]) -> usize {
    if text.starts_with(&[0xEF, 0xBB, 0xBF]) { 3 } else { 0 }
}

struct Section {
    name: Key,
    /// From its header to the end of its last value or comment.
    span: Span,
    entries: Vec<Entry>,
    /// How many keys are called `-`.
    auto_keys: usize,
    names: HashSet<String>,
}

/// One line of comment: from its marker to its end, without the blanks behind it.
type Piece = Span;

struct Reader<'t> {
    text: &'t [u8],
    sections: Vec<Section>,
    /// Comments that belong to what follows.
    pending: Vec<Piece>,
    comment_texts: Vec<SecretBytes>,
}

impl Reader<'_> {
    fn read(&mut self, start: usize) -> Result<(), ParseError> {
        let mut at = start;
        while at < self.text.len() {
            let end = end_of_line(self.text, at);
            let start = skip_blanks(self.text, at, end);
            at = match self.text[start..end].first() {
                None => end,
                Some(b'#' | b';') => {
                    self.pending.push(Span::new(start, trimmed_end(self.text, start, end)));
                    end
                }
                Some(b'[') => {
                    self.header(at, start, end)?;
                    end
                }
                Some(_) => self.key(start, end)?,
            };
        }
        self.file_unseen();
        Ok(())
    }

    fn header(&mut self, line: usize, start: usize, end: usize) -> Result<(), ParseError> {
        let error = |at, problem| Err(ParseError::at(self.text, at, problem));
        let Some(close) = self.text[start..end].iter().rposition(|&byte| byte == b']') else {
            return error(start, "this section header has no `]`");
        };
        let name = Span::new(start + 1, start + close);
        if name.is_empty() {
            return error(start, "this section has no name");
        }
        let Ok(text) = std::str::from_utf8(name.of(self.text)) else {
            return error(start, "the name of this section is not valid UTF-8");
        };
        let key = Key { name: text.to_owned(), span: name, is_text: true };
        let behind = skip_blanks(self.text, name.end + 1, end);
        let comment = match self.text[behind..end].first() {
            None => None,
            Some(b'#' | b';') => Some(Span::new(behind, trimmed_end(self.text, behind, end))),
            Some(_) => {
                return error(behind, "sops drops what stands behind a section header and is no comment");
            }
        };
        let is_metadata = key.name == METADATA_KEY;
        if is_metadata {
            // sops takes them for comments of the metadata, and drops them.
            self.file_unseen();
        }
        let span = Span::new(line, comment.map_or(name.end + 1, |comment| comment.end));
        let mut pieces = std::mem::take(&mut self.pending);
        pieces.extend(comment);
        let entries = if is_metadata { Vec::new() } else { self.comments(&pieces) };
        self.sections.push(Section { name: key, span, entries, auto_keys: 0, names: HashSet::new() });
        Ok(())
    }

    /// Reads the key that starts here and returns where the line behind it starts.
    fn key(&mut self, start: usize, end: usize) -> Result<usize, ParseError> {
        let error = |at, problem: &str| Err(ParseError::at(self.text, at, problem));
        let (name_span, value_start) = match key_name(&self.text[start..end]) {
            Ok((name, offset)) => (Span::new(start + name.start, start + name.end), start + offset),
            Err(problem) => return error(start, problem),
        };
        let Ok(name) = std::str::from_utf8(name_span.of(self.text)) else {
            return error(start, "this key is not valid UTF-8");
        };
        let section = self.sections.last_mut().expect("there is always one");
        let mut name = name.to_owned();
        if name == "-" {
            section.auto_keys += 1;
            name = format!("#{}", section.auto_keys);
        }
        if !section.names.insert(name.clone()) {
            let problem =
                "this key is in its section already; sops would keep the last value only, so remove one";
            return error(start, problem);
        }
        let value = match value(self.text, value_start, end) {
            Ok(value) => value,
            Err(problem) => return error(start, problem),
        };
        let raw = value.span.of(self.text);
        let style = match shape(raw) {
            Shape::Single => LeafStyle::Single,
            Shape::Double => LeafStyle::Double,
            _ => LeafStyle::Plain,
        };
        let leaf = Leaf {
            span: value.span,
            style,
            in_flow: false,
            tag: None,
            parent_indent: 0,
            in_list: false,
            sealed_comment: false,
            ends_empty_list: false,
        };
        let mut pieces = std::mem::take(&mut self.pending);
        let mut entry_end = value.span.end.max(value_start);
        for behind in value.unseen.iter().chain(&value.comment) {
            entry_end = entry_end.max(behind.end);
        }
        pieces.extend(value.comment);
        let comments = self.comments(&pieces);
        let section = self.sections.last_mut().expect("there is always one");
        if section.span.is_empty() {
            section.span.start = start;
        }
        section.span.end = entry_end;
        let key = Key { name, span: name_span, is_text: true };
        let pair =
            Pair { key, value: Node::Leaf(leaf), span: Span::new(start, value.span.end.max(value_start)) };
        section.entries.push(Entry::Pair(pair));
        section.entries.extend(comments);
        section.entries.extend(value.unseen.map(unseen_entry));
        Ok(value.next_line)
    }

    /// The entries for the lines of one comment.
    fn comments(&mut self, pieces: &[Piece]) -> Vec<Entry> {
        let Some((&first, others)) = pieces.split_first() else { return Vec::new() };
        let span = text_of(self.text, first);
        let start = span.start;
        let mut comment =
            Comment { span, inline: false, in_list: false, unseen: false, part: CommentPart::Whole };
        if let Some((&last, between)) = others.split_last() {
            let mut whole = SecretText::default();
            whole.push(&self.text[start..end_of_line(self.text, first.start)]);
            for piece in between {
                whole.push(&self.text[piece.start..end_of_line(self.text, piece.start)]);
            }
            whole.push(last.of(self.text));
            comment.part = CommentPart::First { text: self.comment_texts.len(), others: others.len() };
            self.comment_texts.push(SecretBytes::copy_of(whole.expose()));
        }
        let others = others.iter().map(|piece| Comment {
            span: text_of(self.text, *piece),
            unseen: true,
            part: CommentPart::Other,
            ..comment
        });
        std::iter::once(comment).chain(others).map(Entry::Comment).collect()
    }

    /// Files the comments that belong to nothing in the last section that is not the metadata.
    fn file_unseen(&mut self) {
        let section = self.sections.iter_mut().rfind(|section| section.name.name != METADATA_KEY);
        let text = self.text;
        let unseen =
            std::mem::take(&mut self.pending).into_iter().map(|piece| unseen_entry(text_of(text, piece)));
        section.expect("the first one is not the metadata").entries.extend(unseen);
    }
}

fn unseen_entry(span: Span) -> Entry {
    Entry::Comment(Comment { span, inline: false, in_list: false, unseen: true, part: CommentPart::Whole })
}

/// The text of a line of comment, without what sops removes before it.
fn text_of(text: &[u8], piece: Piece) -> Span {
    let span = Span::new(piece.start + marker_len(piece.of(text)), piece.end);
    let line = start_of_line(text, piece.start);
    let is_behind_header = text[skip_blanks(text, line, piece.start)] == b'[';
    let is_moved = is_behind_header && span.of(text) == MOVED;
    if is_moved { Span::at(span.start) } else { span }
}

/// What stands behind the header of a section in the place of a sealed comment, which cannot stand there.
pub(super) const MOVED: &[u8] = b"`";

/// Length of what sops removes before the text of a comment.
pub(super) fn marker_len(comment: &[u8]) -> usize {
    let marker = comment.first().copied();
    comment.iter().take_while(|&&byte| byte == b' ' || Some(byte) == marker).count()
}

/// The name of a key and the place behind its delimiter.
pub(super) fn key_name(line: &[u8]) -> Result<(Span, usize), &'static str> {
    const NO_DELIMITER: &str = "this line has no `=` or `:` behind a key";
    let find = |from: usize, wanted: &[u8]| {
        line[from..].iter().position(|byte| wanted.contains(byte)).map(|at| from + at)
    };
    let quote: &[u8] = match line.first() {
        Some(b'"') if line.len() > 6 && line.starts_with(b"\"\"\"") => b"\"\"\"",
        Some(b'"') => b"\"",
        Some(b'`') => b"`",
        _ => {
            let delimiter = find(0, b"=:").ok_or(NO_DELIMITER)?;
            let name = trimmed(line, Span::new(0, delimiter));
            return if name.is_empty() { Err("this line has no key") } else { Ok((name, delimiter + 1)) };
        }
    };
    let start = quote.len();
    let close = line[start..].windows(start).position(|window| window == quote);
    let close = start + close.ok_or("the quotes around this key are not closed")?;
    if close + start > line.len() {
        return Err(NO_DELIMITER);
    }
    let delimiter = find(close + start, b"=:").ok_or(NO_DELIMITER)?;
    let name = trimmed(line, Span::new(start, close));
    if name.is_empty() { Err("this line has no key") } else { Ok((name, delimiter + 1)) }
}

/// A value in the text.
pub(super) struct Value {
    /// The value with its quotes.
    pub(super) span: Span,
    /// A comment behind it that sops sees.
    pub(super) comment: Option<Piece>,
    /// What stands behind closing quotes and is dropped by sops, without the marker of a comment.
    pub(super) unseen: Option<Span>,
    /// The start of the line behind it.
    pub(super) next_line: usize,
}

/// Reads the value that starts at `start`, on the line up to `end`.
pub(super) fn value(text: &[u8], start: usize, end: usize) -> Result<Value, &'static str> {
    let first = skip_blanks(text, start, end);
    if first == end {
        // sops prints an empty value with a blank behind the delimiter.
        let blank = usize::from(text.get(start) == Some(&b' '));
        return Ok(Value { span: Span::at(start + blank), comment: None, unseen: None, next_line: end });
    }
    let line = &text[first..end];
    if line.len() > 3 && line.starts_with(b"\"\"\"") {
        return quoted(text, first, end, b"\"\"\"");
    }
    if line[0] == b'`' {
        return quoted(text, first, end, b"`");
    }
    let last = trimmed_end(text, first, end);
    if text[last - 1] == b'\\' {
        return Ok(continued(text, Span::new(first, last), end));
    }
    let mut span = Span::new(first, last);
    let mut comment = None;
    if let Some(at) = span.of(text).iter().position(|byte| matches!(byte, b'#' | b';')) {
        comment = Some(Span::new(first + at, last));
        span.end = trimmed_end(text, first, first + at);
    }
    Ok(Value { span, comment, unseen: None, next_line: end })
}

fn continued(text: &[u8], first: Span, line_end: usize) -> Value {
    let mut span = first;
    let mut at = line_end;
    loop {
        let end = end_of_line(text, at);
        let line = Span::new(skip_blanks(text, at, end), end);
        at = end;
        if line.is_empty() {
            break;
        }
        span.end = trimmed_end(text, line.start, line.end);
        if text[span.end - 1] != b'\\' {
            break;
        }
    }
    Value { span, comment: None, unseen: None, next_line: at }
}

fn quoted(text: &[u8], start: usize, line_end: usize, quote: &'static [u8]) -> Result<Value, &'static str> {
    let find_last = |from: usize, to: usize| {
        text[from..to].windows(quote.len()).rposition(|window| window == quote).map(|at| from + at)
    };
    let content = start + quote.len();
    if let Some(close) = find_last(content, line_end) {
        let span = Span::new(start, close + quote.len());
        let behind = trimmed(text, Span::new(span.end, line_end));
        let is_comment = matches!(behind.of(text).first(), Some(b'#' | b';'));
        let unseen = if is_comment { text_of(text, behind) } else { behind };
        let unseen = (!behind.is_empty()).then_some(unseen);
        return Ok(Value { span, comment: None, unseen, next_line: line_end });
    }
    let mut at = line_end;
    loop {
        if at == text.len() {
            return Err("the quotes around this value are not closed");
        }
        let end = end_of_line(text, at);
        if let Some(close) = find_last(at, end) {
            let behind = close + quote.len();
            let last = trimmed_end(text, behind, end);
            if last == behind || text[last - 1] != b'\\' {
                let marker = text[behind..last].iter().position(|byte| matches!(byte, b'#' | b';'));
                let comment = marker.map(|at| Span::new(behind + at, last));
                let unseen = trimmed(text, Span::new(behind, marker.map_or(last, |at| behind + at)));
                let unseen = (!unseen.is_empty()).then_some(unseen);
                return Ok(Value { span: Span::new(start, behind), comment, unseen, next_line: end });
            }
        }
        at = end;
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Without quotes.
    Bare,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// Between backticks.
    Backtick,
    /// Between three double quotes.
    Triple,
    /// Over several lines, each but the last with a backslash at its end.
    Continued,
}

impl Shape {
    /// What stands around the value.
    pub(super) fn quote(self) -> &'static str {
        match self {
            Shape::Bare | Shape::Continued => "",
            Shape::Single => "'",
            Shape::Double => "\"",
            Shape::Backtick => "`",
            Shape::Triple => "\"\"\"",
        }
    }
}

/// How the value with this text is written.
pub(super) fn shape(raw: &[u8]) -> Shape {
    let surrounded = |quote: u8| {
        raw.len() >= 2
            && raw[0] == quote
            && raw[1..].iter().position(|&byte| byte == quote) == Some(raw.len() - 2)
    };
    match raw {
        [b'`', ..] => Shape::Backtick,
        [b'"', b'"', b'"', _, ..] => Shape::Triple,
        _ if raw.ends_with(b"\\") || raw.contains(&b'\n') => Shape::Continued,
        _ if surrounded(b'\'') => Shape::Single,
        _ if surrounded(b'"') => Shape::Double,
        _ => Shape::Bare,
    }
}

/// The value that this text stands for.
pub(super) fn value_of(raw: &[u8]) -> SecretBytes {
    let shape = shape(raw);
    if shape != Shape::Continued {
        let quote = shape.quote().len();
        return SecretBytes::copy_of(&raw[quote..raw.len() - quote]);
    }
    let mut value = SecretText::with_capacity(raw.len());
    for line in raw.split(|&byte| byte == b'\n') {
        let line = trimmed(line, Span::new(0, line.len())).of(line);
        value.push(line.strip_suffix(b"\\").unwrap_or(line));
    }
    SecretBytes::copy_of(value.expose())
}

// ---------------------------------------------------------------- lines and blanks

/// The end of the line on which `at` stands, line feed included.
pub(super) fn end_of_line(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |length| at + length + 1)
}

/// The start of the line on which `at` stands.
pub(super) fn start_of_line(text: &[u8], at: usize) -> usize {
    let start = text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |feed| feed + 1);
    start.max(content_start(text))
}

/// The first byte from `start` that is no blank, in the sense of Unicode; `end` when there is none.
pub(super) fn skip_blanks(text: &[u8], start: usize, end: usize) -> usize {
    let mut at = start;
    while let Some(len) = blank_len(&text[at..end]) {
        at += len;
    }
    at
}

/// Where the text up to `end` ends without the blanks behind it; `start` when there is nothing else.
pub(super) fn trimmed_end(text: &[u8], start: usize, end: usize) -> usize {
    let mut end = end;
    'trim: while start < end {
        for len in 1..=3.min(end - start) {
            if blank_len(&text[end - len..end]) == Some(len) {
                end -= len;
                continue 'trim;
            }
        }
        break;
    }
    end
}

pub(super) fn trimmed(text: &[u8], span: Span) -> Span {
    let start = skip_blanks(text, span.start, span.end);
    Span::new(start, trimmed_end(text, start, span.end))
}

/// Length of the blank at the start of `text`.
fn blank_len(text: &[u8]) -> Option<usize> {
    match text.first()? {
        byte if byte.is_ascii() => matches!(byte, b'\t'..=b'\r' | b' ').then_some(1),
        _ => {
            let len = text.len().min(4);
            let first = text[..len].utf8_chunks().next()?.valid().chars().next()?;
            first.is_whitespace().then(|| first.len_utf8())
        }
    }
}
