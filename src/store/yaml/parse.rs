//! Tokens → nodes with their comments.
//!
//! One function per production of the YAML 1.1 grammar. The comments that the scanner attached to tokens are
//! handed to nodes at the same moments as in go-yaml v3, and moved between a map's keys by its rules
//! ([`Parser::block_mapping`]), because sops derives a comment's additional data from the result.

use super::scan::{Lines, Mark, ScanError, Scanner, Side, Token, TokenKind, escaped_octet, is_word};
use crate::document::{LeafStyle, Tag};
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
#[derive(Default)]
pub(super) struct Parsed {
    pub(super) content: Content,
    /// The content without anchor and tag.
    pub(super) span: Span,
    /// Most nodes have none: they would take most of the memory of a large text.
    extras: Option<Box<Extras>>,
}

/// What stands around the content of a node.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) anchor: Option<Span>,
    pub(super) tag: Option<Box<str>>,
    pub(super) tag_span: Span,
    pub(super) head: Lines,
    pub(super) line: Lines,
    pub(super) foot: Lines,
}

#[derive(Default)]
pub(super) enum Content {
    Scalar {
        style: LeafStyle,
        in_flow: bool,
        parent_indent: isize,
    },
    #[default]
    Alias,
    Map {
        pairs: Vec<ParsedPair>,
        layout: ParsedLayout,
    },
    List {
        items: Vec<ParsedItem>,
        layout: ParsedLayout,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ParsedLayout {
    Block { column: usize },
    Flow,
}

pub(super) struct ParsedPair {
    /// Where the key starts, with its `?`, anchor and tag.
    pub(super) start: usize,
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

/// How many nodes may stand in each other. Each takes some stack here and wherever the tree is walked; go-yaml
/// allows 10,000.
pub(super) const MAX_DEPTH: usize = 250;

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
    /// Nodes that are open.
    depth: usize,
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
            depth: 0,
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

    fn peek(&mut self) -> Parse<&Token> {
        self.scanner.prepare()?;
        while let Some((side, mut lines)) = self.scanner.take_comment() {
            match side {
                Side::Head => self.head.append(&mut lines),
                Side::Line => self.line.append(&mut lines),
                Side::Foot => self.foot.append(&mut lines),
                Side::Taken => {}
            }
        }
        Ok(self.scanner.token())
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
        let (head, line, foot) = (&mut self.head, &mut self.line, &mut self.foot);
        if !(head.is_empty() && line.is_empty() && foot.is_empty()) || node.extras.is_some() {
            let extras = node.extras_mut();
            extras.head = std::mem::take(head);
            extras.line = std::mem::take(line);
            extras.foot = std::mem::take(foot);
        }
        self.stem = None;
    }

    /// Gives the heading above a dash to the collection behind it.
    fn give_stem(&mut self, collection: &mut Parsed) {
        if let Some(head) = self.stem.take() {
            collection.extras_mut().head = head;
        }
    }

    // ---------------------------------------------------------------- documents

    fn document(&mut self, first: bool) -> Parse<Option<ParsedDocument>> {
        while !first && self.next_is(&[TokenKind::DocumentEnd])? {
            self.skip();
        }
        let token = *self.peek()?;
        if token.kind == TokenKind::StreamEnd {
            return Ok(None);
        }
        let starts_explicitly = matches!(
            token.kind,
            TokenKind::DocumentStart | TokenKind::VersionDirective { .. } | TokenKind::TagDirective { .. }
        );
        let mut head = Lines::new();
        let mut root = Parsed::default();
        if first && !starts_explicitly {
            self.tag_directives.clear();
            head = self.split_document_head();
            self.node(&mut root, true, false)?;
        } else {
            self.directives()?;
            let token = *self.peek()?;
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
            if empty {
                root.leave_out(token.end.offset, false, -1);
            } else {
                self.node(&mut root, true, false)?;
            }
        }
        // The end of a document takes all comments that nobody took; a head there is a foot of the document.
        let token = *self.peek()?;
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
            let token = *self.peek()?;
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
                    let prefix = unescaped(prefix.of(self.scanner.text()));
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

    // Nodes are filled in where they will stay: a `Parsed` that is returned by value would be on the stack several
    // times for each level of nesting.

    fn node(&mut self, node: &mut Parsed, block: bool, indentless_sequence: bool) -> Parse<()> {
        let properties = self.properties(node)?;
        self.go_deeper()?;
        match self.peek()?.kind {
            TokenKind::BlockEntry if indentless_sequence => self.indentless_sequence(node)?,
            TokenKind::FlowSequenceStart => self.flow_sequence(node)?,
            TokenKind::FlowMappingStart => self.flow_mapping(node)?,
            TokenKind::BlockSequenceStart if block => self.block_sequence(node)?,
            TokenKind::BlockMappingStart if block => self.block_mapping(node)?,
            _ => self.single_node(node, block, properties)?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn go_deeper(&mut self) -> Parse<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let at = self.peek()?.start;
            return Self::error("nested too deeply", at);
        }
        Ok(())
    }

    /// Reads the anchor and the tag in front of a node; gives where they start and, if there are any, end.
    fn properties(&mut self, node: &mut Parsed) -> Parse<(Mark, Option<usize>)> {
        let start = self.peek()?.start;
        let mut end = None;
        loop {
            let token = *self.peek()?;
            match token.kind {
                TokenKind::Anchor if node.extras().anchor.is_none() => {
                    node.extras_mut().anchor = Some(Span::new(token.start.offset + 1, token.end.offset));
                }
                TokenKind::Tag if node.extras().tag.is_none() => {
                    node.extras_mut().tag = Some(self.resolve_tag(&token)?);
                    node.extras_mut().tag_span = token.span();
                }
                _ => return Ok((start, end)),
            }
            end = Some(token.end.offset);
            self.skip();
        }
    }

    /// A node without others in it: a scalar, an alias, or nothing behind an anchor or tag.
    fn single_node(
        &mut self,
        node: &mut Parsed,
        block: bool,
        properties: (Mark, Option<usize>),
    ) -> Parse<()> {
        let token = *self.peek()?;
        let (start, properties_end) = properties;
        match (token.kind, properties_end) {
            (TokenKind::Scalar(style), _) => {
                node.content =
                    Content::Scalar { style, in_flow: !block, parent_indent: self.parent_indent() };
            }
            (TokenKind::Alias, None) => node.content = Content::Alias,
            (_, Some(end)) => {
                node.leave_out(end, !block, self.parent_indent());
                return Ok(());
            }
            (_, None) => return Self::error("did not find expected node content", start),
        }
        node.span = token.span();
        self.give_comments(node);
        self.skip();
        Ok(())
    }

    fn parent_indent(&self) -> isize {
        self.columns.last().copied().unwrap_or(-1)
    }

    /// The short form of a tag: `!!str`, `!mine`.
    fn resolve_tag(&self, token: &Token) -> Parse<Box<str>> {
        let text = token.span().of(self.scanner.text());
        let full = if let Some(verbatim) = text.strip_prefix(b"!<") {
            unescaped(&verbatim[..verbatim.len() - 1])
        } else {
            let word = text[1..].iter().position(|&byte| !is_word(byte));
            let handle_len = word.map(|len| len + 1).filter(|&at| text[at] == b'!').map_or(1, |at| at + 1);
            let (handle, suffix) = text.split_at(handle_len);
            let declared = self.tag_directives.iter().find(|(known, _)| known.as_bytes() == handle);
            match (declared, handle) {
                _ if text == b"!" => "!".to_owned(),
                (Some((_, prefix)), _) => format!("{prefix}{}", unescaped(suffix)),
                (None, b"!") => unescaped(text),
                (None, b"!!") => format!("!!{}", unescaped(suffix)),
                (None, _) => return Self::error("found undefined tag handle", token.start),
            }
        };
        let short = full.strip_prefix("tag:yaml.org,2002:").map(|name| format!("!!{name}"));
        Ok(short.unwrap_or(full).into_boxed_str())
    }

    // ---------------------------------------------------------------- block collections

    fn block_sequence(&mut self, sequence: &mut Parsed) -> Parse<()> {
        let start = self.peek()?.start;
        sequence.span = Span::at(start.offset);
        self.give_stem(sequence);
        self.skip();
        let mut items = Vec::new();
        self.columns.push(start.column);
        loop {
            match self.peek()?.kind {
                TokenKind::BlockEntry => self.block_entry(&mut items, &ENTRY_ENDS)?,
                TokenKind::BlockEnd => break,
                _ => {
                    let at = self.peek()?.start;
                    return Self::error("did not find expected '-' indicator", at);
                }
            }
        }
        self.skip();
        self.columns.pop();
        sequence.close_list(items, ParsedLayout::Block { column: start.column as usize });
        Ok(())
    }

    fn indentless_sequence(&mut self, sequence: &mut Parsed) -> Parse<()> {
        let start = self.peek()?.start;
        sequence.span = Span::at(start.offset);
        let mut items = Vec::new();
        while self.next_is(&[TokenKind::BlockEntry])? {
            self.block_entry(&mut items, &INDENTLESS_ENTRY_ENDS)?;
        }
        sequence.close_list(items, ParsedLayout::Block { column: start.column as usize });
        Ok(())
    }

    /// One `- …`; `ends` are the tokens that mean that nothing stands behind the dash.
    fn block_entry(&mut self, items: &mut Vec<ParsedItem>, ends: &[TokenKind]) -> Parse<()> {
        let dash = self.peek()?;
        let (start, dash_end, column) = (dash.start.offset, dash.end.offset, dash.start.column);
        let head_len = self.head.len();
        self.skip();
        self.split_stem(head_len)?;
        let item = push_item(items, start);
        if self.next_is(ends)? {
            item.node.leave_out(dash_end, false, column);
        } else {
            self.node(&mut item.node, true, false)?;
        }
        item.end = item.node.span.end.max(dash_end);
        Ok(())
    }

    /// A heading above `- ` is about the whole collection behind the dash, not about its first entry.
    fn split_stem(&mut self, head_len: usize) -> Parse<()> {
        if head_len > 0 && self.next_is(&[TokenKind::BlockSequenceStart, TokenKind::BlockMappingStart])? {
            let rest = self.head.split_off(head_len);
            self.stem = Some(std::mem::replace(&mut self.head, rest));
        }
        Ok(())
    }

    fn block_mapping(&mut self, mapping: &mut Parsed) -> Parse<()> {
        let start = self.peek()?.start;
        mapping.span = Span::at(start.offset);
        self.give_stem(mapping);
        self.skip();
        let mut pairs = Vec::new();
        self.columns.push(start.column);
        loop {
            match self.peek()?.kind {
                TokenKind::Key => self.block_pair(&mut pairs, start.column)?,
                TokenKind::BlockEnd => break,
                _ => {
                    let at = self.peek()?.start;
                    return Self::error("did not find expected key", at);
                }
            }
        }
        self.give_end_comments(mapping);
        if !mapping.extras().foot.is_empty()
            && let Some(last) = pairs.last_mut()
        {
            last.key.extras_mut().foot = mapping.take_foot();
        }
        self.skip();
        self.columns.pop();
        mapping.close_map(pairs, ParsedLayout::Block { column: start.column as usize });
        Ok(())
    }

    fn block_pair(&mut self, pairs: &mut Vec<ParsedPair>, column: isize) -> Parse<()> {
        let Span { start, end: key_end } = self.peek()?.span();
        self.skip();
        let pair = push_pair(pairs, start);
        if self.next_is(&PAIR_ENDS)? {
            pair.key.leave_out(key_end, false, column);
        } else {
            self.node(&mut pair.key, true, true)?;
        }
        pair.end = pair.key.span.end;
        // A foot on a key belongs to the pair before it.
        if let [.., previous, pair] = &mut pairs[..]
            && !pair.key.extras().foot.is_empty()
        {
            previous.key.extras_mut().foot = pair.key.take_foot();
        }
        let pair = pairs.last_mut().expect("the pair was pushed above");
        if self.next_is(&[TokenKind::Value])? {
            pair.end = self.peek()?.end.offset;
            self.skip();
            if self.next_is(&PAIR_ENDS)? {
                pair.value.leave_out(pair.end, false, column);
            } else {
                self.node(&mut pair.value, true, true)?;
            }
        } else {
            pair.value.leave_out(pair.end, false, column);
        }
        pair.close();
        Ok(())
    }

    /// The comments at the end of a collection: its line and its foot. A head has no place there.
    fn give_end_comments(&mut self, node: &mut Parsed) {
        self.head.clear();
        if !(self.line.is_empty() && self.foot.is_empty()) || node.extras.is_some() {
            let extras = node.extras_mut();
            extras.line = std::mem::take(&mut self.line);
            extras.foot = std::mem::take(&mut self.foot);
        }
        self.stem = None;
    }

    // ---------------------------------------------------------------- flow collections

    fn flow_sequence(&mut self, sequence: &mut Parsed) -> Parse<()> {
        sequence.span = self.peek()?.span();
        self.give_comments(sequence);
        self.skip();
        let mut items = Vec::new();
        while self.flow_has_more(
            items.is_empty(),
            TokenKind::FlowSequenceEnd,
            "did not find expected ',' or ']'",
        )? {
            let token = self.peek()?;
            let is_pair = token.kind == TokenKind::Key;
            let item = push_item(&mut items, token.start.offset);
            if is_pair {
                self.flow_single_pair(&mut item.node)?;
            } else {
                self.node(&mut item.node, false, false)?;
            }
            item.end = item.node.span.end;
        }
        self.give_end_comments(sequence);
        sequence.close_list(items, ParsedLayout::Flow);
        sequence.span.end = self.peek()?.end.offset;
        self.skip();
        Ok(())
    }

    /// Moves over the comma before an entry; false at the bracket that closes the collection.
    fn flow_has_more(&mut self, first: bool, closing: TokenKind, problem: &'static str) -> Parse<bool> {
        let token = self.peek()?;
        if token.kind == closing {
            return Ok(false);
        }
        if first {
            return Ok(true);
        }
        if token.kind != TokenKind::FlowEntry {
            let at = token.start;
            return Self::error(problem, at);
        }
        self.skip();
        Ok(self.peek()?.kind != closing)
    }

    /// `[a: b]`: a map of one pair without braces.
    fn flow_single_pair(&mut self, mapping: &mut Parsed) -> Parse<()> {
        mapping.span = self.peek()?.span();
        let Span { start, end: key_end } = mapping.span;
        self.go_deeper()?;
        self.skip();
        let mut pairs = Vec::new();
        let pair = push_pair(&mut pairs, start);
        if self.next_is(&SINGLE_PAIR_ENDS)? {
            // go-yaml skips the token that shows there is no key; an empty key is refused later in any case.
            self.skip();
            pair.key.leave_out(key_end, true, -1);
        } else {
            self.node(&mut pair.key, false, false)?;
        }
        pair.end = pair.key.span.end;
        self.flow_value(pair, &SINGLE_PAIR_ENDS)?;
        self.depth -= 1;
        mapping.close_map(pairs, ParsedLayout::Flow);
        Ok(())
    }

    fn flow_mapping(&mut self, mapping: &mut Parsed) -> Parse<()> {
        mapping.span = self.peek()?.span();
        self.give_comments(mapping);
        self.skip();
        let mut pairs = Vec::new();
        while self.flow_has_more(
            pairs.is_empty(),
            TokenKind::FlowMappingEnd,
            "did not find expected ',' or '}'",
        )? {
            let pair = push_pair(&mut pairs, self.peek()?.start.offset);
            if !self.next_is(&[TokenKind::Key])? {
                self.node(&mut pair.key, false, false)?;
                pair.end = pair.key.span.end;
                pair.value.leave_out(pair.end, true, -1);
                continue;
            }
            self.skip();
            let at = self.peek()?.start.offset;
            if self.next_is(&FLOW_PAIR_ENDS)? {
                pair.key.leave_out(at, true, -1);
            } else {
                self.node(&mut pair.key, false, false)?;
            }
            pair.end = pair.key.span.end;
            self.flow_value(pair, &FLOW_PAIR_ENDS)?;
        }
        self.give_end_comments(mapping);
        mapping.close_map(pairs, ParsedLayout::Flow);
        mapping.span.end = self.peek()?.end.offset;
        self.skip();
        Ok(())
    }

    /// What stands behind a key in braces or brackets; `ends` are the tokens that end a pair.
    fn flow_value(&mut self, pair: &mut ParsedPair, ends: &[TokenKind; 3]) -> Parse<()> {
        let token = self.peek()?;
        if token.kind == TokenKind::Value {
            pair.end = token.end.offset;
            self.skip();
            if !self.next_is(&ends[1..])? {
                self.node(&mut pair.value, false, false)?;
                pair.close();
                return Ok(());
            }
        }
        pair.value.leave_out(pair.end, true, -1);
        Ok(())
    }
}

/// Behind a dash: the next thing is not a node of this entry.
const ENTRY_ENDS: [TokenKind; 2] = [TokenKind::BlockEntry, TokenKind::BlockEnd];
const INDENTLESS_ENTRY_ENDS: [TokenKind; 4] =
    [TokenKind::BlockEntry, TokenKind::Key, TokenKind::Value, TokenKind::BlockEnd];
/// Behind a `?` or a `:`: the key or value is left out.
const PAIR_ENDS: [TokenKind; 3] = [TokenKind::Key, TokenKind::Value, TokenKind::BlockEnd];
const FLOW_PAIR_ENDS: [TokenKind; 3] = [TokenKind::Value, TokenKind::FlowEntry, TokenKind::FlowMappingEnd];
const SINGLE_PAIR_ENDS: [TokenKind; 3] = [TokenKind::Value, TokenKind::FlowEntry, TokenKind::FlowSequenceEnd];

/// A part of a tag with its `%xx` read.
fn unescaped(text: &[u8]) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match escaped_octet(rest) {
            Some(octet) => {
                plain.push(octet);
                rest = &rest[3..];
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn push_item(items: &mut Vec<ParsedItem>, start: usize) -> &mut ParsedItem {
    items.push(ParsedItem { start, node: Parsed::default(), end: start });
    items.last_mut().expect("an item was pushed")
}

fn push_pair(pairs: &mut Vec<ParsedPair>, start: usize) -> &mut ParsedPair {
    pairs.push(ParsedPair { start, key: Parsed::default(), value: Parsed::default(), end: 0 });
    pairs.last_mut().expect("a pair was pushed")
}

impl ParsedPair {
    fn close(&mut self) {
        if self.key.extras().foot.is_empty() && !self.value.extras().foot.is_empty() {
            self.key.extras_mut().foot = self.value.take_foot();
        }
        self.end = self.end.max(self.value.span.end);
    }
}

static NO_EXTRAS: Extras = Extras {
    anchor: None,
    tag: None,
    tag_span: Span { start: 0, end: 0 },
    head: Lines::new(),
    line: Lines::new(),
    foot: Lines::new(),
};

impl Parsed {
    /// The anchor, the tag and the comments.
    pub(super) fn extras(&self) -> &Extras {
        self.extras.as_deref().unwrap_or(&NO_EXTRAS)
    }

    fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// The tag.
    pub(super) fn tag(&self) -> Option<Tag> {
        let extras = self.extras();
        extras.tag.clone().map(|name| Tag { name, span: extras.tag_span })
    }

    /// The tag, moved out.
    pub(super) fn take_tag(&mut self) -> Option<Tag> {
        let extras = self.extras.as_mut()?;
        extras.tag.take().map(|name| Tag { name, span: extras.tag_span })
    }

    /// The comments below, moved out.
    pub(super) fn take_foot(&mut self) -> Lines {
        self.extras.as_mut().map_or_else(Lines::new, |extras| std::mem::take(&mut extras.foot))
    }

    /// Makes this a value that is left out.
    fn leave_out(&mut self, offset: usize, in_flow: bool, parent_indent: isize) {
        self.content = Content::Scalar { style: LeafStyle::Plain, in_flow, parent_indent };
        self.span = Span::at(offset);
    }

    fn close_list(&mut self, mut items: Vec<ParsedItem>, layout: ParsedLayout) {
        items.shrink_to_fit(); // most collections are small, and nodes are not
        self.span.end = items.last().map_or(self.span.end, |item| item.end);
        self.content = Content::List { items, layout };
    }

    fn close_map(&mut self, mut pairs: Vec<ParsedPair>, layout: ParsedLayout) {
        pairs.shrink_to_fit();
        self.span.end = pairs.last().map_or(self.span.end, |pair| pair.end);
        self.content = Content::Map { pairs, layout };
    }
}
