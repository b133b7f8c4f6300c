//! Text → tokens with places, and comments with what they belong to.
//!
//! The grammar is YAML 1.1 as libyaml reads it, because go-yaml (and so sops) is built on it. Two things are
//! added: every token keeps its byte range, and every comment is attached to a token the way go-yaml v3 does
//! it. That attachment decides under which map sops files a comment, hence the additional data it is sealed
//! with; the odd-looking column and line arithmetic in [`Scanner::scan_comments`] is part of that contract.

use std::collections::VecDeque;

use crate::document::{BlockShape, Chomp, LeafStyle};
use crate::span::Span;

/// How far (in characters) a simple key may reach, and how far a comment is looked for.
const SIMPLE_KEY_REACH: usize = 1024;
const COMMENT_REACH: usize = 512;

/// A place in the text, counted in every way the grammar needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Bytes from the start of the text.
    pub(super) offset: usize,
    /// Characters from the start of the text.
    pub(super) index: isize,
    /// Line, from 0.
    pub(super) line: isize,
    /// Characters from the start of the line.
    pub(super) column: isize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    StreamStart,
    StreamEnd,
    VersionDirective { major: u32, minor: u32 },
    TagDirective { handle: Span, prefix: Span },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar(LeafStyle),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: Mark,
    pub(super) end: Mark,
}

impl Token {
    pub(super) fn span(&self) -> Span {
        Span::new(self.start.offset, self.end.offset)
    }
}

/// Lines of a comment: indices into [`Scanner::comment_lines`], `None` for an empty line between them.
pub(super) type Lines = Vec<Option<usize>>;

/// Which side of its token a comment stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Head,
    Line,
    Foot,
    /// Already handed to the parser.
    Taken,
}

/// A run of comment lines and the token it belongs to.
#[derive(Debug)]
pub(super) struct AttachedComment {
    side: Side,
    lines: Lines,
    /// Where the search that found it began.
    scan_mark: Mark,
    /// The token it belongs to is the first that starts at or behind this mark.
    token_mark: Mark,
    start_mark: Mark,
    end_mark: Mark,
}

/// Why a text is not YAML: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScanError {
    pub(super) problem: &'static str,
    pub(super) offset: usize,
}

type Scan<T> = Result<T, ScanError>;

/// The ASCII characters that never end a plain scalar once it has begun; a table, for most of a file is these.
static GOES_ON_IN_BLOCK: [bool; 256] = all_words_but(b":");
static GOES_ON_IN_FLOW: [bool; 256] = all_words_but(b":,?[]{}");

const fn all_words_but(indicators: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = true;
        byte += 1;
    }
    let mut at = 0;
    while at < indicators.len() {
        table[indicators[at] as usize] = false;
        at += 1;
    }
    table
}

#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token_number: usize,
    mark: Mark,
}

pub(super) struct Scanner<'t> {
    text: &'t [u8],
    mark: Mark,
    /// Line breaks since the last character that is not blank.
    newlines: isize,
    stream_started: bool,
    stream_ended: bool,
    tokens: Vec<Token>,
    tokens_head: usize,
    tokens_parsed: usize,
    token_available: bool,
    indent: isize,
    indents: Vec<isize>,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    /// Number of a token that may be a key → its flow level, in order of the tokens.
    simple_keys_by_token: VecDeque<(usize, usize)>,
    flow_level: usize,
    comments: Vec<AttachedComment>,
    comments_head: usize,
    /// Every comment of the text, `#` included, without its line break.
    pub(super) comment_lines: Vec<Span>,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t [u8]) -> Scan<Self> {
        check_characters(text)?;
        // Only at the start of the text: go-yaml takes any other byte order mark for a part of the word it stands in.
        let first = if text.starts_with(BOM) { BOM.len() } else { 0 };
        if text[first..].starts_with(BOM) {
            return Err(ScanError { problem: "the text starts with two byte order marks", offset: first });
        }
        Ok(Self {
            text,
            mark: Mark { offset: first, ..Mark::default() },
            newlines: 0,
            stream_started: false,
            stream_ended: false,
            tokens: Vec::new(),
            tokens_head: 0,
            tokens_parsed: 0,
            token_available: false,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            simple_keys_by_token: VecDeque::new(),
            flow_level: 0,
            comments: Vec::new(),
            comments_head: 0,
            comment_lines: Vec::new(),
        })
    }

    pub(super) fn text(&self) -> &'t [u8] {
        self.text
    }

    /// Makes sure that the next token is known.
    pub(super) fn prepare(&mut self) -> Scan<()> {
        if self.token_available { Ok(()) } else { self.fetch_more_tokens() }
    }

    /// The next token, not consumed; [`Scanner::prepare`] comes first.
    pub(super) fn token(&self) -> &Token {
        &self.tokens[self.tokens_head]
    }

    /// Consumes that token.
    pub(super) fn skip_token(&mut self) {
        self.tokens_head += 1;
        self.tokens_parsed += 1;
        self.token_available = false;
        // Keep a few consumed tokens: comments look back at the last two.
        if self.tokens_head >= 64 {
            self.tokens.drain(..self.tokens_head - 4);
            self.tokens_head = 4;
        }
    }

    /// The next comment that belongs before or on the next token, if there is one.
    pub(super) fn take_comment(&mut self) -> Option<(Side, Lines)> {
        let comment = self.comments.get_mut(self.comments_head)?;
        let token = &self.tokens[self.tokens_head];
        if token.start.index < comment.token_mark.index {
            return None;
        }
        if comment.side == Side::Head && token.kind == TokenKind::BlockEnd {
            return None; // a block's end has no head; it waits for the token behind
        }
        self.comments_head += 1;
        let side = std::mem::replace(&mut comment.side, Side::Taken);
        comment.scan_mark = Mark::default();
        comment.start_mark = Mark::default();
        comment.end_mark = Mark::default();
        Some((side, std::mem::take(&mut comment.lines)))
    }

    // ---------------------------------------------------------------- characters

    fn at(&self, ahead: usize) -> u8 {
        self.text.get(self.mark.offset + ahead).copied().unwrap_or(0)
    }

    fn byte(&self) -> u8 {
        self.at(0)
    }

    fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.at(ahead), b' ' | b'\t')
    }

    fn is_end(&self, ahead: usize) -> bool {
        self.mark.offset + ahead >= self.text.len()
    }

    fn is_break(&self, ahead: usize) -> bool {
        match self.at(ahead) {
            b'\n' | b'\r' => true,
            0xC2 | 0xE2 => break_len(&self.text[self.mark.offset + ahead..]) > 0,
            _ => false,
        }
    }

    fn is_break_or_end(&self, ahead: usize) -> bool {
        self.is_end(ahead) || self.is_break(ahead)
    }

    fn is_blank_or_end(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_break_or_end(ahead)
    }

    /// Moves over one character that is not a line break.
    fn skip(&mut self) {
        if !self.is_blank(0) {
            self.newlines = 0;
        }
        self.mark.index += 1;
        self.mark.column += 1;
        self.mark.offset += utf8_len(self.byte());
    }

    /// Moves over the ASCII characters that `goes_on` takes; it may not take line breaks.
    fn skip_run(&mut self, goes_on: impl Fn(u8) -> bool) {
        let rest = &self.text[self.mark.offset..];
        let run = rest.iter().take_while(|&&byte| goes_on(byte)).count();
        if self.newlines > 0 && rest[..run].iter().any(|byte| !matches!(byte, b' ' | b'\t')) {
            self.newlines = 0;
        }
        self.mark.index += run as isize;
        self.mark.column += run as isize;
        self.mark.offset += run;
    }

    /// Moves over characters of [`GOES_ON_IN_BLOCK`], sixteen at a time as the processor likes it.
    fn skip_blocks_of_words(&mut self) {
        let is_word = |byte: &u8| (b'!'..=b'~').contains(byte) & (*byte != b':');
        let (blocks, _) = self.text[self.mark.offset..].as_chunks::<16>();
        let is_whole = |block: &&[u8; 16]| block.iter().fold(true, |all, byte| all & is_word(byte));
        let run = 16 * blocks.iter().take_while(is_whole).count();
        if run > 0 {
            self.newlines = 0;
        }
        self.mark.index += run as isize;
        self.mark.column += run as isize;
        self.mark.offset += run;
    }

    /// Moves to the end of the line.
    fn skip_to_break(&mut self) {
        loop {
            self.skip_run(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            if self.is_break_or_end(0) {
                return;
            }
            self.skip();
        }
    }

    /// Moves over one line break, if there is one.
    fn skip_line(&mut self) {
        let len = break_len(&self.text[self.mark.offset..]);
        if len > 0 {
            self.mark.index += if len == 2 && self.byte() == b'\r' { 2 } else { 1 };
            self.mark.offset += len;
            self.mark.column = 0;
            self.mark.line += 1;
            self.newlines += 1;
        }
    }

    fn error<T>(&self, problem: &'static str, mark: Mark) -> Scan<T> {
        Err(ScanError { problem, offset: mark.offset })
    }

    // ---------------------------------------------------------------- the token queue

    /// Reads tokens until the first of the queue is certain.
    ///
    /// Two tokens of look-ahead: a comment can only be given to the token before it once what follows is known.
    fn fetch_more_tokens(&mut self) -> Scan<()> {
        loop {
            if self.tokens_head + 2 < self.tokens.len() {
                match self.simple_key_level(self.tokens_parsed) {
                    None => break,
                    Some(level) if !self.simple_key_is_valid(level)? => break,
                    Some(_) => {}
                }
            }
            if self.stream_ended {
                break;
            }
            self.fetch_next_token()?;
        }
        self.token_available = true;
        Ok(())
    }

    fn push_token(&mut self, kind: TokenKind, start: Mark) {
        let end = self.mark;
        self.tokens.push(Token { kind, start, end });
    }

    /// Puts an empty token in front of token `number` (counted from the start of the stream).
    fn insert_token(&mut self, number: usize, kind: TokenKind, mark: Mark) {
        let place = self.tokens_head + (number - self.tokens_parsed);
        self.tokens.insert(place, Token { kind, start: mark, end: mark });
    }

    fn fetch_next_token(&mut self) -> Scan<()> {
        if !self.stream_started {
            self.stream_started = true;
            self.push_token(TokenKind::StreamStart, self.mark);
            return Ok(());
        }
        let scan_mark = self.mark;
        self.scan_to_next_token()?;
        self.unroll_indent(self.mark.column, scan_mark);

        if self.is_end(0) {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 && self.byte() == b'%' {
            return self.fetch_directive();
        }
        if self.mark.column == 0 && self.is_document_indicator() {
            let kind = if self.byte() == b'-' { TokenKind::DocumentStart } else { TokenKind::DocumentEnd };
            return self.fetch_document_indicator(kind);
        }

        // A comment behind ':' or ',' is about what stands before them.
        let indicator_of_previous =
            (self.flow_level == 0 && self.byte() == b':') || (self.flow_level > 0 && self.byte() == b',');
        let comment_mark = match self.tokens.last() {
            Some(previous) if indicator_of_previous => previous.start,
            _ => self.mark,
        };
        self.fetch_content_token()?;
        // A lone '-' has no line comment: it becomes the head of what follows.
        if self.tokens.last().is_some_and(|t| t.kind == TokenKind::BlockEntry) {
            return Ok(());
        }
        self.scan_line_comment(comment_mark);
        Ok(())
    }

    fn fetch_content_token(&mut self) -> Scan<()> {
        let in_flow = self.flow_level > 0;
        match self.byte() {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.is_blank_or_end(1) => self.fetch_block_entry(),
            b'?' if in_flow || self.is_blank_or_end(1) => self.fetch_key(),
            b':' if in_flow || self.is_blank_or_end(1) => self.fetch_value(),
            b'*' => self.fetch_anchor(TokenKind::Alias),
            b'&' => self.fetch_anchor(TokenKind::Anchor),
            b'!' => self.fetch_tag(),
            b'|' if !in_flow => self.fetch_block_scalar(false),
            b'>' if !in_flow => self.fetch_block_scalar(true),
            b'\'' => self.fetch_quoted_scalar(LeafStyle::Single),
            b'"' => self.fetch_quoted_scalar(LeafStyle::Double),
            _ if self.starts_plain_scalar() => self.fetch_plain_scalar(),
            _ => self.error("found character that cannot start any token", self.mark),
        }
    }

    fn starts_plain_scalar(&self) -> bool {
        match self.byte() {
            b'-' => !self.is_blank(1),
            b'?' | b':' => self.flow_level == 0 && !self.is_blank_or_end(1),
            b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"'
            | b'%' | b'@' | b'`' => false,
            _ => !self.is_blank_or_end(0),
        }
    }

    fn is_document_indicator(&self) -> bool {
        let three = [self.at(0), self.at(1), self.at(2)];
        (&three == b"---" || &three == b"...") && self.is_blank_or_end(3)
    }

    // ---------------------------------------------------------------- simple keys and indentation

    fn simple_key_is_valid(&mut self, level: usize) -> Scan<bool> {
        let key = self.simple_keys[level];
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < self.mark.line || key.mark.index + (SIMPLE_KEY_REACH as isize) < self.mark.index {
            if key.required {
                return self.error("could not find expected ':'", key.mark);
            }
            self.simple_keys[level].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    /// The flow level of the possible key that starts with token `number`, the first that is not consumed yet.
    fn simple_key_level(&mut self, number: usize) -> Option<usize> {
        while self.simple_keys_by_token.front().is_some_and(|(other, _)| *other < number) {
            self.simple_keys_by_token.pop_front();
        }
        self.simple_keys_by_token.front().filter(|(other, _)| *other == number).map(|(_, level)| *level)
    }

    fn forget_simple_key(&mut self, number: usize) {
        if let Some(at) = self.simple_keys_by_token.iter().rposition(|(other, _)| *other <= number)
            && self.simple_keys_by_token[at].0 == number
        {
            self.simple_keys_by_token.remove(at);
        }
    }

    fn next_token_number(&self) -> usize {
        self.tokens_parsed + (self.tokens.len() - self.tokens_head)
    }

    fn save_simple_key(&mut self) -> Scan<()> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = self.flow_level == 0 && self.indent == self.mark.column;
        let token_number = self.next_token_number();
        self.remove_simple_key()?;
        let level = self.simple_keys.len() - 1;
        self.simple_keys[level] = SimpleKey { possible: true, required, token_number, mark: self.mark };
        self.simple_keys_by_token.push_back((token_number, level));
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Scan<()> {
        let level = self.simple_keys.len() - 1;
        let key = self.simple_keys[level];
        if key.possible {
            if key.required {
                return self.error("could not find expected ':'", key.mark);
            }
            self.simple_keys[level].possible = false;
            self.forget_simple_key(key.token_number);
        }
        Ok(())
    }

    /// Opens a block collection when `column` is deeper than the current one. `number` is the token it starts
    /// with, when that is already in the queue.
    fn roll_indent(&mut self, column: isize, number: Option<usize>, kind: TokenKind, mark: Mark) -> Scan<()> {
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        match number {
            Some(number) => self.insert_token(number, kind, mark),
            None => self.tokens.push(Token { kind, start: mark, end: mark }),
        }
        Ok(())
    }

    /// Closes the block collections that are deeper than `column`.
    ///
    /// Each end is moved back in front of comments that stand at the closing block's own column, so that they
    /// belong to what encloses it or to the block itself, as go-yaml decides.
    fn unroll_indent(&mut self, column: isize, scan_mark: Mark) {
        if self.flow_level > 0 {
            return;
        }
        let mut block_mark = scan_mark;
        block_mark.index -= 1;
        while self.indent > column {
            let mut stop_index = block_mark.index;
            for comment in self.comments.iter().rev() {
                if comment.end_mark.index < stop_index {
                    break;
                }
                if comment.start_mark.column == self.indent + 1 {
                    block_mark = comment.start_mark;
                }
                stop_index = comment.scan_mark.index;
            }
            self.tokens.push(Token { kind: TokenKind::BlockEnd, start: block_mark, end: block_mark });
            self.indent = self.indents.pop().expect("every indentation deeper than -1 was pushed");
        }
    }

    fn reset_for_document(&mut self) -> Scan<()> {
        self.unroll_indent(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        Ok(())
    }

    // ---------------------------------------------------------------- tokens

    fn fetch_stream_end(&mut self) -> Scan<()> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.reset_for_document()?;
        self.push_token(TokenKind::StreamEnd, self.mark);
        self.stream_ended = true;
        Ok(())
    }

    fn fetch_directive(&mut self) -> Scan<()> {
        self.reset_for_document()?;
        let start = self.mark;
        self.skip();
        let name_start = self.mark.offset;
        while is_word(self.byte()) {
            self.skip();
        }
        let name = &self.text[name_start..self.mark.offset];
        if !name.is_empty() && !self.is_blank_or_end(0) {
            return self.error("found unexpected non-alphabetical character", start);
        }
        let kind = match name {
            b"YAML" => self.scan_version_directive(start)?,
            b"TAG" => self.scan_tag_directive(start)?,
            b"" => return self.error("could not find expected directive name", start),
            _ => return self.error("found unknown directive name", start),
        };
        self.tokens.push(Token { kind, start, end: self.mark });
        while self.is_blank(0) {
            self.skip();
        }
        if self.byte() == b'#' {
            self.record_comment_line();
        }
        if !self.is_break_or_end(0) {
            return self.error("did not find expected comment or line break", start);
        }
        self.skip_line();
        Ok(())
    }

    fn scan_version_directive(&mut self, start: Mark) -> Scan<TokenKind> {
        while self.is_blank(0) {
            self.skip();
        }
        let major = self.scan_version_number(start)?;
        if self.byte() != b'.' {
            return self.error("did not find expected digit or '.' character", start);
        }
        self.skip();
        let minor = self.scan_version_number(start)?;
        Ok(TokenKind::VersionDirective { major, minor })
    }

    fn scan_version_number(&mut self, start: Mark) -> Scan<u32> {
        let mut value = 0u32;
        let mut length = 0;
        while self.byte().is_ascii_digit() {
            length += 1;
            if length > 2 {
                return self.error("found extremely long version number", start);
            }
            value = value * 10 + u32::from(self.byte() - b'0');
            self.skip();
        }
        if length == 0 {
            return self.error("did not find expected version number", start);
        }
        Ok(value)
    }

    fn scan_tag_directive(&mut self, start: Mark) -> Scan<TokenKind> {
        while self.is_blank(0) {
            self.skip();
        }
        let handle_start = self.mark.offset;
        if self.byte() != b'!' {
            return self.error("did not find expected '!'", start);
        }
        self.skip();
        while is_word(self.byte()) {
            self.skip();
        }
        if self.byte() == b'!' {
            self.skip();
        } else if self.mark.offset - handle_start > 1 {
            return self.error("did not find expected '!'", start);
        }
        let handle = Span::new(handle_start, self.mark.offset);
        if !self.is_blank(0) {
            return self.error("did not find expected whitespace", start);
        }
        while self.is_blank(0) {
            self.skip();
        }
        let prefix_start = self.mark.offset;
        self.scan_uri(start)?;
        let prefix = Span::new(prefix_start, self.mark.offset);
        if prefix.is_empty() {
            return self.error("did not find expected tag URI", start);
        }
        if !self.is_blank_or_end(0) {
            return self.error("did not find expected whitespace or line break", start);
        }
        Ok(TokenKind::TagDirective { handle, prefix })
    }

    fn fetch_document_indicator(&mut self, kind: TokenKind) -> Scan<()> {
        self.reset_for_document()?;
        let start = self.mark;
        for _ in 0..3 {
            self.skip();
        }
        self.push_token(kind, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_keys.push(SimpleKey { mark: self.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        self.simple_key_allowed = true;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind) -> Scan<()> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            let key = self.simple_keys.pop().expect("one simple key for each flow level");
            self.forget_simple_key(key.token_number);
        }
        self.simple_key_allowed = false;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Scan<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(TokenKind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.error("block sequence entries are not allowed in this context", self.mark);
            }
            self.roll_indent(self.mark.column, None, TokenKind::BlockSequenceStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(TokenKind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.error("mapping keys are not allowed in this context", self.mark);
            }
            self.roll_indent(self.mark.column, None, TokenKind::BlockMappingStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.fetch_indicator(TokenKind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Scan<()> {
        let level = self.simple_keys.len() - 1;
        if self.simple_key_is_valid(level)? {
            let key = self.simple_keys[level];
            self.insert_token(key.token_number, TokenKind::Key, key.mark);
            let number = Some(key.token_number);
            self.roll_indent(key.mark.column, number, TokenKind::BlockMappingStart, key.mark)?;
            self.simple_keys[level].possible = false;
            self.forget_simple_key(key.token_number);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return self.error("mapping values are not allowed in this context", self.mark);
                }
                self.roll_indent(self.mark.column, None, TokenKind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.fetch_indicator(TokenKind::Value);
        Ok(())
    }

    fn fetch_indicator(&mut self, kind: TokenKind) {
        let start = self.mark;
        self.skip();
        self.push_token(kind, start);
    }

    fn fetch_anchor(&mut self, kind: TokenKind) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip();
        let name_start = self.mark.offset;
        while is_word(self.byte()) {
            self.skip();
        }
        let ends_well = self.is_blank_or_end(0)
            || matches!(self.byte(), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if self.mark.offset == name_start || !ends_well {
            return self.error("did not find expected alphabetic or numeric character", start);
        }
        self.push_token(kind, start);
        Ok(())
    }

    fn fetch_tag(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip();
        if self.byte() == b'<' {
            self.skip();
            let uri_start = self.mark.offset;
            self.scan_uri(start)?;
            if self.mark.offset == uri_start {
                return self.error("did not find expected tag URI", start);
            }
            if self.byte() != b'>' {
                return self.error("did not find the expected '>'", start);
            }
            self.skip();
        } else {
            while is_word(self.byte()) {
                self.skip();
            }
            let handle_only = self.byte() == b'!';
            if handle_only {
                self.skip();
            }
            let suffix_start = self.mark.offset;
            self.scan_uri(start)?;
            if handle_only && self.mark.offset == suffix_start {
                return self.error("did not find expected tag URI", start);
            }
        }
        if !self.is_blank_or_end(0) {
            return self.error("did not find expected whitespace or line break", start);
        }
        self.push_token(TokenKind::Tag, start);
        Ok(())
    }

    fn scan_uri(&mut self, start: Mark) -> Scan<()> {
        while is_uri(self.byte()) {
            if self.byte() == b'%' {
                self.scan_uri_escape(start)?;
            } else {
                self.skip();
            }
        }
        Ok(())
    }

    /// Moves over the `%xx` of one character.
    fn scan_uri_escape(&mut self, start: Mark) -> Scan<()> {
        let mut octets = [0; 4];
        let mut length = 1;
        let mut at = 0;
        while at < length {
            let Some(octet) = escaped_octet(&self.text[self.mark.offset..]) else {
                return self.error("did not find URI escaped octet", start);
            };
            octets[at] = octet;
            if at == 0 {
                length = utf8_len(octet);
            }
            at += 1;
            for _ in 0..3 {
                self.skip();
            }
        }
        if std::str::from_utf8(&octets[..length]).is_err() {
            return self.error("found an incorrect UTF-8 octet", start);
        }
        Ok(())
    }

    // ---------------------------------------------------------------- scalars

    fn fetch_block_scalar(&mut self, folded: bool) -> Scan<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let start = self.mark;
        self.skip();
        let mut chomp = Chomp::Clip;
        let mut increment = 0;
        for _ in 0..2 {
            match self.byte() {
                b'+' if chomp == Chomp::Clip => chomp = Chomp::Keep,
                b'-' if chomp == Chomp::Clip => chomp = Chomp::Strip,
                b'0' if increment == 0 => {
                    return self.error("found an indentation indicator equal to 0", start);
                }
                digit @ b'1'..=b'9' if increment == 0 => increment = isize::from(digit - b'0'),
                _ => break,
            }
            self.skip();
        }
        while self.is_blank(0) {
            self.skip();
        }
        if self.byte() == b'#' {
            self.scan_line_comment(start);
        }
        if !self.is_break_or_end(0) {
            return self.error("did not find expected comment or line break", start);
        }
        self.skip_line();
        let content_start = self.mark.offset;
        let mut content_end = content_start;
        let mut end = self.mark;
        let mut indent = if increment > 0 { self.indent.max(0) + increment } else { 0 };
        self.scan_block_breaks(&mut indent, start, &mut end)?;
        while self.mark.column == indent && !self.is_end(0) {
            self.skip_to_break();
            content_end = self.mark.offset;
            self.skip_line();
            self.scan_block_breaks(&mut indent, start, &mut end)?;
        }
        let shape = BlockShape {
            folded,
            chomp,
            content_start,
            content_end,
            indent: indent as usize,
            parent_indent: self.indent,
            explicit_indent: increment > 0,
        };
        self.tokens.push(Token { kind: TokenKind::Scalar(LeafStyle::Block(shape)), start, end });
        Ok(())
    }

    /// Moves over indentation and empty lines; finds out the indentation where it is not known yet.
    fn scan_block_breaks(&mut self, indent: &mut isize, start: Mark, end: &mut Mark) -> Scan<()> {
        *end = self.mark;
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.byte() == b' ' {
                self.skip();
            }
            deepest = deepest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.byte() == b'\t' {
                return self.error("found a tab character where an indentation space is expected", start);
            }
            if !self.is_break(0) {
                break;
            }
            self.skip_line();
            *end = self.mark;
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }

    fn fetch_quoted_scalar(&mut self, style: LeafStyle) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let quote = self.byte();
        self.skip();
        loop {
            if self.mark.column == 0 && self.is_document_indicator() {
                return self.error("found unexpected document indicator", start);
            }
            if self.is_end(0) {
                return self.error("found unexpected end of stream", start);
            }
            if self.is_break(0) {
                self.skip_line();
            } else if self.byte() == quote {
                if quote == b'\'' && self.at(1) == b'\'' {
                    self.skip();
                    self.skip();
                } else {
                    break;
                }
            } else if quote == b'"' && self.byte() == b'\\' {
                self.skip_escape(start)?;
            } else {
                self.skip();
                self.skip_run(|byte| matches!(byte, b' '..=b'~') && byte != quote && byte != b'\\');
            }
        }
        self.skip();
        self.push_token(TokenKind::Scalar(style), start);
        Ok(())
    }

    fn skip_escape(&mut self, start: Mark) -> Scan<()> {
        if self.is_break(1) {
            self.skip();
            self.skip_line();
            return Ok(());
        }
        let digits = match self.at(1) {
            b'0' | b'a' | b'b' | b't' | b'\t' | b'n' | b'v' | b'f' | b'r' | b'e' | b' ' | b'"' | b'\''
            | b'\\' | b'N' | b'_' | b'L' | b'P' => 0,
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => return self.error("found unknown escape character", start),
        };
        self.skip();
        self.skip();
        let mut value = 0u32;
        for _ in 0..digits {
            let digit = char::from(self.byte()).to_digit(16);
            let Some(digit) = digit else {
                return self.error("did not find expected hexadecimal number", start);
            };
            value = value.wrapping_shl(4) | digit;
            self.skip();
        }
        if char::from_u32(value).is_none() {
            return self.error("found invalid Unicode character escape code", start);
        }
        Ok(())
    }

    fn fetch_plain_scalar(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let mut end = self.mark;
        let indent = self.indent + 1;
        let mut leading_blanks = false;
        let goes_on = if self.flow_level == 0 { &GOES_ON_IN_BLOCK } else { &GOES_ON_IN_FLOW };
        loop {
            if (self.mark.column == 0 && self.is_document_indicator()) || self.byte() == b'#' {
                break;
            }
            while !self.is_blank_or_end(0) {
                let ends_flow =
                    self.flow_level > 0 && matches!(self.byte(), b',' | b'?' | b'[' | b']' | b'{' | b'}');
                if ends_flow || (self.byte() == b':' && self.is_blank_or_end(1)) {
                    break;
                }
                leading_blanks = false;
                self.skip();
                if self.flow_level == 0 {
                    self.skip_blocks_of_words();
                }
                self.skip_run(|byte| goes_on[usize::from(byte)]);
                end = self.mark;
            }
            if !(self.is_blank(0) || self.is_break(0)) {
                break;
            }
            while self.is_blank(0) || self.is_break(0) {
                if self.is_break(0) {
                    self.skip_line();
                    leading_blanks = true;
                } else {
                    if leading_blanks && self.mark.column < indent && self.byte() == b'\t' {
                        return self.error("found a tab character that violates indentation", start);
                    }
                    self.skip();
                }
            }
            if self.flow_level == 0 && self.mark.column < indent {
                break;
            }
        }
        self.tokens.push(Token { kind: TokenKind::Scalar(LeafStyle::Plain), start, end });
        if leading_blanks {
            self.simple_key_allowed = true;
        }
        Ok(())
    }

    // ---------------------------------------------------------------- white space and comments

    fn scan_to_next_token(&mut self) -> Scan<()> {
        let scan_mark = self.mark;
        loop {
            let tabs_count_as_blank = self.flow_level > 0 || !self.simple_key_allowed;
            while self.byte() == b' ' || (tabs_count_as_blank && self.byte() == b'\t') {
                self.skip();
            }
            self.turn_line_comment_of_first_entry_into_head();
            if self.byte() == b'#' {
                self.scan_comments(scan_mark);
            }
            if !self.is_break(0) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    /// `- # text` above content is a heading of that content, not a remark on the dash.
    fn turn_line_comment_of_first_entry_into_head(&mut self) {
        let [.., before, last] = self.tokens[..] else { return };
        let after_first_dash =
            before.kind == TokenKind::BlockSequenceStart && last.kind == TokenKind::BlockEntry;
        let at_content = !self.is_break(0);
        if let Some(comment) = self.comments.last_mut()
            && after_first_dash
            && at_content
            && comment.side == Side::Line
        {
            comment.side = Side::Head;
            if comment.start_mark.line == self.mark.line - 1 {
                comment.token_mark = self.mark;
            }
        }
    }

    /// Reads from `#` to the end of the line and remembers the place.
    fn record_comment_line(&mut self) -> usize {
        let start = self.mark.offset;
        self.skip_to_break();
        self.comment_lines.push(Span::new(start, self.mark.offset));
        self.comment_lines.len() - 1
    }

    /// Takes the rest of the line as a comment on the token at `token_mark`, when it is one.
    fn scan_line_comment(&mut self, token_mark: Mark) {
        if self.newlines > 0 {
            return;
        }
        let blanks = (0..COMMENT_REACH).take_while(|&ahead| self.is_blank(ahead)).count();
        if blanks == COMMENT_REACH || self.at(blanks) != b'#' {
            return;
        }
        for _ in 0..blanks {
            self.skip();
        }
        let start_mark = self.mark;
        let line = self.record_comment_line();
        self.comments.push(AttachedComment {
            side: Side::Line,
            lines: vec![Some(line)],
            scan_mark: Mark::default(),
            token_mark,
            start_mark,
            end_mark: Mark::default(),
        });
    }

    /// Reads comments on lines of their own, up to the next token, and decides for each run of them whether it
    /// is the foot of what came before or the head of what follows.
    ///
    /// go-yaml counts columns from 1 here, does not count the line break right behind a comment as a line, and
    /// takes the LF of a CRLF for an empty line; which comment sops puts under which map follows from that.
    fn scan_comments(&mut self, scan_mark: Mark) {
        let mut scan_mark = scan_mark;
        let mut token = self.tokens[self.tokens.len() - 1];
        if token.kind == TokenKind::FlowEntry && self.tokens.len() > 1 {
            token = self.tokens[self.tokens.len() - 2];
        }
        let mut token_mark = token.start;
        let mut start_mark = Mark::default();
        let next_indent = self.indent.max(0);
        let mut recent_empty = false;
        let mut first_empty = self.newlines <= 1;
        let mut line = self.mark.line;
        let mut column = self.mark.column;
        let mut lines: Lines = Vec::new();

        // Where a comment must start to be a foot of the content before it.
        let mut foot_line = -1;
        if scan_mark.line > 0 {
            foot_line = self.mark.line - self.newlines + 1;
            if self.newlines == 0 && self.mark.column > 1 {
                foot_line += 1;
            }
        }

        let mut ahead = 0;
        while ahead < COMMENT_REACH {
            column += 1;
            if self.is_blank(ahead) {
                ahead += 1;
                continue;
            }
            let here = Mark {
                offset: self.mark.offset + ahead,
                index: self.mark.index + ahead as isize,
                line,
                column,
            };
            let closes_flow = self.flow_level > 0 && matches!(self.at(ahead), b']' | b'}');
            if closes_flow || self.is_break_or_end(ahead) {
                if closes_flow || !recent_empty {
                    let foot_of_previous = first_empty
                        && (start_mark.line == foot_line && token.kind != TokenKind::Value
                            || start_mark.column - 1 < next_indent);
                    if closes_flow || foot_of_previous {
                        if !lines.is_empty() {
                            if start_mark.column - 1 < next_indent {
                                token_mark = start_mark; // dedented: nothing to do with that token
                            }
                            self.attach(Side::Foot, &mut lines, scan_mark, token_mark, start_mark, here);
                            scan_mark = here;
                            token_mark = here;
                        }
                    } else if !lines.is_empty() && !self.is_end(ahead) {
                        lines.push(None);
                    }
                }
                if !self.is_break(ahead) {
                    break;
                }
                first_empty = false;
                recent_empty = true;
                column = 0;
                line += 1;
                ahead += 1;
                continue;
            }
            if !lines.is_empty() && column - 1 < next_indent && column != start_mark.column {
                // At another indentation than the run before: that one was a foot.
                self.attach(Side::Foot, &mut lines, scan_mark, token_mark, start_mark, here);
                scan_mark = here;
                token_mark = here;
            }
            if self.at(ahead) != b'#' {
                break;
            }
            if lines.is_empty() {
                start_mark = here;
            }
            recent_empty = false;
            while self.mark.offset < here.offset {
                if self.is_break(0) {
                    self.skip_line();
                } else {
                    self.skip();
                }
            }
            let comment_line = self.record_comment_line();
            lines.push(Some(comment_line));
            ahead = 1;
            column = 0;
            line = self.mark.line;
        }
        if !lines.is_empty() {
            let end_mark =
                Mark { offset: self.mark.offset, index: self.mark.index + ahead as isize - 1, line, column };
            self.attach(Side::Head, &mut lines, scan_mark, start_mark, start_mark, end_mark);
        }
    }

    fn attach(
        &mut self,
        side: Side,
        lines: &mut Lines,
        scan_mark: Mark,
        token_mark: Mark,
        start_mark: Mark,
        end_mark: Mark,
    ) {
        let lines = std::mem::take(lines);
        self.comments.push(AttachedComment { side, lines, scan_mark, token_mark, start_mark, end_mark });
    }
}

/// The UTF-8 byte order mark.
pub(super) const BOM: &[u8] = "\u{feff}".as_bytes();

/// Length of the line break `text` starts with; 0 when it starts with none.
pub(super) fn break_len(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        [0xC2, 0x85, ..] => 2,
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
        _ => 0,
    }
}

fn utf8_len(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The octet that `text` starts with when it starts with `%xx`.
pub(super) fn escaped_octet(text: &[u8]) -> Option<u8> {
    let [b'%', digits @ ..] = text.get(..3)? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
}

fn is_uri(byte: u8) -> bool {
    is_word(byte)
        || matches!(
            byte,
            b';' | b'/'
                | b'?'
                | b':'
                | b'@'
                | b'&'
                | b'='
                | b'+'
                | b'$'
                | b','
                | b'.'
                | b'!'
                | b'~'
                | b'*'
                | b'\''
                | b'('
                | b')'
                | b'['
                | b']'
                | b'%'
        )
}

/// Refuses bytes that are not UTF-8 and characters that YAML does not allow.
fn check_characters(text: &[u8]) -> Scan<()> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(ScanError { problem: "the text is not valid UTF-8", offset: error.valid_up_to() });
    }
    let is_plain = |byte: &u8| (0x20..0x7F).contains(byte) | (*byte == b'\n');
    let mut offset = 0;
    while offset < text.len() {
        // Whole blocks at once: most of a text is printable ASCII.
        if let Some(block) = text.get(offset..offset + 16)
            && block.iter().fold(true, |all, byte| all & is_plain(byte))
        {
            offset += 16;
            continue;
        }
        let allowed = match text[offset] {
            b'\t' | b'\n' | b'\r' | 0x20..=0x7E => true,
            0..0x80 => false,
            0xC2 => !(0x80..0xA0).contains(&text[offset + 1]) || text[offset + 1] == 0x85,
            0xEF => !(text[offset + 1] == 0xBF && text[offset + 2] >= 0xBE),
            _ => true,
        };
        if !allowed {
            return Err(ScanError { problem: "control characters are not allowed", offset });
        }
        offset += utf8_len(text[offset]);
    }
    Ok(())
}
