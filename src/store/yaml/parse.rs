//! Tokens → nodes with their comments.
//!
//! One function per production of the YAML 1.1 grammar. The comments that the scanner attached to tokens are
//! handed to nodes at the same moments as in go-yaml v3, and moved between a map's keys by its rules
//! ([`Parser::block_mapping`]), because sops derives a comment's additional data from the result.

use super::scan::{Lines, Mark, ScanError, Scanner, Side, Token, TokenKind};
use crate::document::LeafStyle;
use crate::span::Span;

/// One document of the stream.
pub(super) struct ParsedDocument {
    pub(super) head: Lines,
    pub(super) foot: Lines,
    pub(super) root: Parsed,
    /// Where the document ends: at its end marker, at the next document, or at the end of the text.
    pub(super) end: usize,
}

/// A node, its properties and its comments.
pub(super) struct Parsed {
    pub(super) content: Content,
    /// The content without anchor and tag.
    pub(super) span: Span,
    pub(super) anchor: Option<Span>,
    pub(super) tag: Option<Box<str>>,
    pub(super) tag_span: Span,
    pub(super) head: Lines,
    pub(super) line: Lines,
    pub(super) foot: Lines,
}

pub(super) enum Content {
    Scalar { style: LeafStyle, in_flow: bool, parent_indent: isize },
    Alias,
    Map { pairs: Vec<ParsedPair>, layout: ParsedLayout },
    List { items: Vec<ParsedItem>, layout: ParsedLayout },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ParsedLayout {
    Block { column: usize },
    Flow,
}

pub(super) struct ParsedPair {
    pub(super) key: Parsed,
    pub(super) value: Parsed,
    /// Behind the value, or behind the `:` of a value that is left out.
    pub(super) end: usize,
}

pub(super) struct ParsedItem {
    pub(super) start: usize,
    pub(super) node: Parsed,
    pub(super) end: usize,
}

type Parse<T> = Result<T, ScanError>;

pub(super) struct Parser<'t> {
    scanner: Scanner<'t>,
    head: Lines,
    line: Lines,
    foot: Lines,
    stem: Option<Lines>,
    tag_directives: Vec<(String, String)>,
    /// Columns of the block collections that are open.
    columns: Vec<isize>,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t [u8]) -> Parse<Self> {
        Ok(Self {
            scanner: Scanner::new(text)?,
            head: Lines::new(),
            line: Lines::new(),
            foot: Lines::new(),
            stem: None,
            tag_directives: Vec::new(),
            columns: Vec::new(),
        })
    }

    /// Every document, and the place of every comment in the text.
    pub(super) fn parse(mut self) -> Parse<(Vec<ParsedDocument>, Vec<Span>)> {
        let mut documents = Vec::new();
        self.peek()?;
        self.skip(); // the start of the stream
        while let Some(document) = self.document(documents.is_empty())? {
            documents.push(document);
        }
        Ok((documents, self.scanner.comment_lines))
    }

    // ---------------------------------------------------------------- tokens and their comments

    fn peek(&mut self) -> Parse<Token> {
        let token = self.scanner.peek()?;
        while let Some((side, mut lines)) = self.scanner.take_comment(&token) {
            match side {
                Side::Head => self.head.append(&mut lines),
                Side::Line => self.line.append(&mut lines),
                Side::Foot => self.foot.append(&mut lines),
                Side::Taken => {}
            }
        }
        Ok(token)
    }

    fn skip(&mut self) {
        self.scanner.skip_token();
    }

    fn next_is(&mut self, kinds: &[TokenKind]) -> Parse<bool> {
        Ok(kinds.contains(&self.peek()?.kind))
    }

    fn error<T>(problem: &'static str, mark: Mark) -> Parse<T> {
        Err(ScanError { problem, offset: mark.offset })
    }

    /// Gives the comments gathered so far to `node`.
    fn give_comments(&mut self, node: &mut Parsed) {
        node.head = std::mem::take(&mut self.head);
        node.line = std::mem::take(&mut self.line);
        node.foot = std::mem::take(&mut self.foot);
        self.stem = None;
    }

    // ---------------------------------------------------------------- documents

    fn document(&mut self, first: bool) -> Parse<Option<ParsedDocument>> {
        let mut token = self.peek()?;
        if !first {
            while token.kind == TokenKind::DocumentEnd {
                self.skip();
                token = self.peek()?;
            }
        }
        if token.kind == TokenKind::StreamEnd {
            return Ok(None);
        }
        let starts_explicitly = matches!(
            token.kind,
            TokenKind::DocumentStart | TokenKind::VersionDirective { .. } | TokenKind::TagDirective { .. }
        );
        let mut head = Lines::new();
        let root = if first && !starts_explicitly {
            self.tag_directives.clear();
            head = self.split_document_head();
            self.node(true, false)?
        } else {
            self.directives()?;
            let token = self.peek()?;
            if token.kind != TokenKind::DocumentStart {
                return Self::error("did not find expected <document start>", token.start);
            }
            self.skip();
            let empty = matches!(
                self.peek()?.kind,
                TokenKind::VersionDirective { .. }
                    | TokenKind::TagDirective { .. }
                    | TokenKind::DocumentStart
                    | TokenKind::DocumentEnd
                    | TokenKind::StreamEnd
            );
            if empty { Parsed::empty(token.end.offset, false, -1) } else { self.node(true, false)? }
        };
        // The end of a document takes all comments that nobody took; a head there is a foot of the document.
        let token = self.peek()?;
        let mut foot = std::mem::take(&mut self.foot);
        let left_over = std::mem::take(&mut self.head);
        self.line.clear();
        self.stem = None;
        if foot.is_empty() {
            foot = left_over;
        }
        let end = match token.kind {
            TokenKind::StreamEnd => self.scanner.text().len(),
            _ => token.start.offset,
        };
        if token.kind == TokenKind::DocumentEnd {
            self.skip();
        }
        Ok(Some(ParsedDocument { head, foot, root, end }))
    }

    /// Cuts the comments above the first node at their last empty line: the upper part is the document's.
    fn split_document_head(&mut self) -> Lines {
        match self.head.iter().rposition(Option::is_none) {
            Some(empty) => {
                let rest = self.head.split_off(empty + 1);
                let mut head = std::mem::replace(&mut self.head, rest);
                head.pop();
                head
            }
            None => Lines::new(),
        }
    }

    fn directives(&mut self) -> Parse<()> {
        self.tag_directives.clear();
        let mut version_seen = false;
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::VersionDirective { .. } if version_seen => {
                    return Self::error("found duplicate %YAML directive", token.start);
                }
                TokenKind::VersionDirective { major: 1, minor: 1 } => version_seen = true,
                TokenKind::VersionDirective { .. } => {
                    return Self::error(
                        "found incompatible YAML document (sops reads %YAML 1.1 only)",
                        token.start,
                    );
                }
                TokenKind::TagDirective { handle, prefix } => {
                    let handle = self.text_of(handle);
                    if self.tag_directives.iter().any(|(known, _)| *known == handle) {
                        return Self::error("found duplicate %TAG directive", token.start);
                    }
                    let prefix = self.text_of(prefix);
                    self.tag_directives.push((handle, prefix));
                }
                _ => return Ok(()),
            }
            self.skip();
        }
    }

    fn text_of(&self, span: Span) -> String {
        String::from_utf8_lossy(span.of(self.scanner.text())).into_owned()
    }

    // ---------------------------------------------------------------- nodes

    fn node(&mut self, block: bool, indentless_sequence: bool) -> Parse<Parsed> {
        let mut token = self.peek()?;
        if token.kind == TokenKind::Alias {
            let mut node = Parsed::new(Content::Alias, token.span());
            self.give_comments(&mut node);
            self.skip();
            return Ok(node);
        }
        let start = token.start;
        let mut anchor = None;
        let mut tag = None;
        let mut tag_span = Span::default();
        let mut properties_end = None;
        loop {
            match token.kind {
                TokenKind::Anchor if anchor.is_none() => {
                    anchor = Some(Span::new(token.start.offset + 1, token.end.offset));
                }
                TokenKind::Tag if tag.is_none() => {
                    tag = Some(self.resolve_tag(&token)?);
                    tag_span = token.span();
                }
                _ => break,
            }
            properties_end = Some(token.end);
            self.skip();
            token = self.peek()?;
        }
        let parent_indent = self.columns.last().copied().unwrap_or(-1);
        let mut node = match token.kind {
            TokenKind::BlockEntry if indentless_sequence => self.indentless_sequence()?,
            TokenKind::Scalar(style) => {
                let content = Content::Scalar { style, in_flow: !block, parent_indent };
                let mut node = Parsed::new(content, token.span());
                self.give_comments(&mut node);
                self.skip();
                node
            }
            TokenKind::FlowSequenceStart => self.flow_sequence()?,
            TokenKind::FlowMappingStart => self.flow_mapping()?,
            TokenKind::BlockSequenceStart if block => self.block_sequence()?,
            TokenKind::BlockMappingStart if block => self.block_mapping()?,
            _ => match properties_end {
                Some(end) => Parsed::empty(end.offset, !block, parent_indent),
                None => return Self::error("did not find expected node content", start),
            },
        };
        node.anchor = anchor;
        node.tag = tag;
        node.tag_span = tag_span;
        Ok(node)
    }

    /// The short form of a tag: `!!str`, `!mine`.
    fn resolve_tag(&self, token: &Token) -> Parse<Box<str>> {
        let text = self.text_of(token.span());
        let full = if let Some(verbatim) = text.strip_prefix("!<") {
            verbatim.trim_end_matches('>').to_owned()
        } else {
            let second = text[1..].find('!').map(|i| i + 2);
            let (handle, suffix) = text.split_at(second.unwrap_or(1));
            let declared = self.tag_directives.iter().find(|(known, _)| known == handle);
            match (declared, handle) {
                _ if text == "!" => text.clone(),
                (Some((_, prefix)), _) => format!("{prefix}{suffix}"),
                (None, "!") => text.clone(),
                (None, "!!") => format!("!!{suffix}"),
                (None, _) => return Self::error("found undefined tag handle", token.start),
            }
        };
        let short = full.strip_prefix("tag:yaml.org,2002:").map(|name| format!("!!{name}"));
        Ok(short.unwrap_or(full).into_boxed_str())
    }

    // ---------------------------------------------------------------- block collections

    fn block_sequence(&mut self) -> Parse<Parsed> {
        let start = self.peek()?;
        let mut sequence = Parsed::new(Content::Alias, start.span());
        sequence.head = self.stem.take().unwrap_or_default();
        self.skip();
        let mut items = Vec::new();
        self.columns.push(start.start.column);
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::BlockEntry => {
                    items.push(self.block_entry(&[TokenKind::BlockEntry, TokenKind::BlockEnd], token)?);
                }
                TokenKind::BlockEnd => {
                    self.skip();
                    break;
                }
                _ => return Self::error("did not find expected '-' indicator", token.start),
            }
        }
        self.columns.pop();
        sequence.close_list(items, ParsedLayout::Block { column: start.start.column as usize });
        Ok(sequence)
    }

    fn indentless_sequence(&mut self) -> Parse<Parsed> {
        let start = self.peek()?;
        let mut sequence = Parsed::new(Content::Alias, start.span());
        let mut items = Vec::new();
        loop {
            let token = self.peek()?;
            if token.kind != TokenKind::BlockEntry {
                break;
            }
            let ends = [TokenKind::BlockEntry, TokenKind::Key, TokenKind::Value, TokenKind::BlockEnd];
            items.push(self.block_entry(&ends, token)?);
        }
        sequence.close_list(items, ParsedLayout::Block { column: start.start.column as usize });
        Ok(sequence)
    }

    /// One `- …`; `ends` are the tokens that mean that nothing stands behind the dash.
    fn block_entry(&mut self, ends: &[TokenKind], dash: Token) -> Parse<ParsedItem> {
        let head_len = self.head.len();
        self.skip();
        self.split_stem(head_len)?;
        let node = if self.next_is(ends)? {
            Parsed::empty(dash.end.offset, false, dash.start.column)
        } else {
            self.node(true, false)?
        };
        let end = node.span.end.max(dash.end.offset);
        Ok(ParsedItem { start: dash.start.offset, node, end })
    }

    /// A heading above `- ` is about the whole collection behind the dash, not about its first entry.
    fn split_stem(&mut self, head_len: usize) -> Parse<()> {
        if head_len > 0 && self.next_is(&[TokenKind::BlockSequenceStart, TokenKind::BlockMappingStart])? {
            let rest = self.head.split_off(head_len);
            self.stem = Some(std::mem::replace(&mut self.head, rest));
        }
        Ok(())
    }

    fn block_mapping(&mut self) -> Parse<Parsed> {
        let start = self.peek()?;
        let mut mapping = Parsed::new(Content::Alias, start.span());
        mapping.head = self.stem.take().unwrap_or_default();
        self.skip();
        let mut pairs: Vec<ParsedPair> = Vec::new();
        let column = start.start.column;
        self.columns.push(column);
        let no_node = [TokenKind::Key, TokenKind::Value, TokenKind::BlockEnd];
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::Key => {}
                TokenKind::BlockEnd => break,
                _ => return Self::error("did not find expected key", token.start),
            }
            self.skip();
            let mut key = if self.next_is(&no_node)? {
                Parsed::empty(token.end.offset, false, column)
            } else {
                self.node(true, true)?
            };
            // A foot on a key belongs to the pair before it.
            if !key.foot.is_empty()
                && let Some(previous) = pairs.last_mut()
            {
                previous.key.foot = std::mem::take(&mut key.foot);
            }
            let token = self.peek()?;
            let mut end = key.span.end;
            let mut value = if token.kind == TokenKind::Value {
                self.skip();
                end = token.end.offset;
                if self.next_is(&no_node)? {
                    Parsed::empty(token.end.offset, false, column)
                } else {
                    self.node(true, true)?
                }
            } else {
                Parsed::empty(end, false, column)
            };
            if key.foot.is_empty() {
                key.foot = std::mem::take(&mut value.foot);
            }
            end = end.max(value.span.end);
            pairs.push(ParsedPair { key, value, end });
        }
        self.give_end_comments(&mut mapping);
        if !mapping.foot.is_empty()
            && let Some(last) = pairs.last_mut()
        {
            last.key.foot = std::mem::take(&mut mapping.foot);
        }
        self.skip();
        self.columns.pop();
        mapping.close_map(pairs, ParsedLayout::Block { column: column as usize });
        Ok(mapping)
    }

    /// The comments at the end of a collection: its line and its foot. A head has no place there.
    fn give_end_comments(&mut self, node: &mut Parsed) {
        self.head.clear();
        node.line = std::mem::take(&mut self.line);
        node.foot = std::mem::take(&mut self.foot);
        self.stem = None;
    }

    // ---------------------------------------------------------------- flow collections

    fn flow_sequence(&mut self) -> Parse<Parsed> {
        let start = self.peek()?;
        let mut sequence = Parsed::new(Content::Alias, start.span());
        self.give_comments(&mut sequence);
        self.skip();
        let mut items = Vec::new();
        let mut first = true;
        let end = loop {
            let mut token = self.peek()?;
            if token.kind != TokenKind::FlowSequenceEnd && !first {
                if token.kind != TokenKind::FlowEntry {
                    return Self::error("did not find expected ',' or ']'", token.start);
                }
                self.skip();
                token = self.peek()?;
            }
            first = false;
            match token.kind {
                TokenKind::FlowSequenceEnd => break token,
                TokenKind::Key => {
                    let node = self.flow_single_pair(token)?;
                    items.push(ParsedItem { start: node.span.start, end: node.span.end, node });
                }
                _ => {
                    let node = self.node(false, false)?;
                    items.push(ParsedItem { start: token.start.offset, end: node.span.end, node });
                }
            }
        };
        self.give_end_comments(&mut sequence);
        self.skip();
        sequence.span.end = end.end.offset;
        sequence.content = Content::List { items, layout: ParsedLayout::Flow };
        Ok(sequence)
    }

    /// `[a: b]`: a map of one pair without braces.
    fn flow_single_pair(&mut self, key_token: Token) -> Parse<Parsed> {
        let mut mapping = Parsed::new(Content::Alias, key_token.span());
        self.skip();
        let ends = [TokenKind::Value, TokenKind::FlowEntry, TokenKind::FlowSequenceEnd];
        let mut key = if self.next_is(&ends)? {
            // go-yaml skips the token that shows there is no key; an empty key is refused later in any case.
            self.skip();
            Parsed::empty(key_token.end.offset, true, -1)
        } else {
            self.node(false, false)?
        };
        let mut end = key.span.end;
        let token = self.peek()?;
        let mut value = if token.kind == TokenKind::Value {
            self.skip();
            end = token.end.offset;
            if self.next_is(&ends[1..])? { Parsed::empty(end, true, -1) } else { self.node(false, false)? }
        } else {
            Parsed::empty(end, true, -1)
        };
        if key.foot.is_empty() {
            key.foot = std::mem::take(&mut value.foot);
        }
        end = end.max(value.span.end);
        mapping.span.end = end;
        mapping.content =
            Content::Map { pairs: vec![ParsedPair { key, value, end }], layout: ParsedLayout::Flow };
        Ok(mapping)
    }

    fn flow_mapping(&mut self) -> Parse<Parsed> {
        let start = self.peek()?;
        let mut mapping = Parsed::new(Content::Alias, start.span());
        self.give_comments(&mut mapping);
        self.skip();
        let mut pairs = Vec::new();
        let mut first = true;
        let ends = [TokenKind::Value, TokenKind::FlowEntry, TokenKind::FlowMappingEnd];
        let closing = loop {
            let mut token = self.peek()?;
            if token.kind != TokenKind::FlowMappingEnd && !first {
                if token.kind != TokenKind::FlowEntry {
                    return Self::error("did not find expected ',' or '}'", token.start);
                }
                self.skip();
                token = self.peek()?;
            }
            first = false;
            let mut key;
            let mut value = None;
            let mut end;
            match token.kind {
                TokenKind::FlowMappingEnd => break token,
                TokenKind::Key => {
                    self.skip();
                    let at = self.peek()?;
                    key = if ends.contains(&at.kind) {
                        Parsed::empty(at.start.offset, true, -1)
                    } else {
                        self.node(false, false)?
                    };
                    end = key.span.end;
                    let token = self.peek()?;
                    if token.kind == TokenKind::Value {
                        self.skip();
                        end = token.end.offset;
                        if !self.next_is(&ends[1..])? {
                            value = Some(self.node(false, false)?);
                        }
                    }
                }
                _ => {
                    key = self.node(false, false)?;
                    end = key.span.end;
                }
            }
            let mut value = value.unwrap_or_else(|| Parsed::empty(end, true, -1));
            if key.foot.is_empty() {
                key.foot = std::mem::take(&mut value.foot);
            }
            end = end.max(value.span.end);
            pairs.push(ParsedPair { key, value, end });
        };
        self.give_end_comments(&mut mapping);
        self.skip();
        mapping.span.end = closing.end.offset;
        mapping.content = Content::Map { pairs, layout: ParsedLayout::Flow };
        Ok(mapping)
    }
}

impl Parsed {
    fn new(content: Content, span: Span) -> Self {
        let (head, line, foot) = (Lines::new(), Lines::new(), Lines::new());
        Self { content, span, anchor: None, tag: None, tag_span: Span::default(), head, line, foot }
    }

    /// A value that is left out.
    fn empty(offset: usize, in_flow: bool, parent_indent: isize) -> Self {
        let content = Content::Scalar { style: LeafStyle::Plain, in_flow, parent_indent };
        Self::new(content, Span::at(offset))
    }

    fn close_list(&mut self, items: Vec<ParsedItem>, layout: ParsedLayout) {
        self.span.end = items.last().map_or(self.span.end, |item| item.end);
        self.content = Content::List { items, layout };
    }

    fn close_map(&mut self, pairs: Vec<ParsedPair>, layout: ParsedLayout) {
        self.span.end = pairs.last().map_or(self.span.end, |pair| pair.end);
        self.content = Content::Map { pairs, layout };
    }
}
