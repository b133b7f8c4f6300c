//! Nodes → the tree, with comments where sops files them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::alias;
use super::parse::{Content, Parsed, ParsedDocument, ParsedItem, ParsedLayout, ParsedPair, Parser};
use super::scalar;
use super::scan::{Lines, ScanError};
use super::spell;
use crate::document::{
    Branch, Comment, Document, Entry, Item, Key, Layout, Leaf, LeafStyle, List, Map, Node, Pair,
};
use crate::secret::SecretText;
use crate::span::{Position, Span};
use crate::store::ParseError;

/// What reading a text gives.
pub(super) enum Read {
    /// The document.
    Document(Document),
    /// The same text with every alias written out, to be read again.
    Aliased(SecretText),
}

/// Reads a text.
pub(super) fn read(text: SecretText) -> Result<Read, ParseError> {
    let (documents, comment_lines) = parse(text.expose())?;
    check(text.expose(), &documents)?;
    if let Some(expanded) = alias::expand(text.expose(), &documents)? {
        return Ok(Read::Aliased(expanded));
    }
    let mut builder = Builder { text: text.expose(), seen: vec![false; comment_lines.len()], comment_lines };
    let mut branches = Vec::with_capacity(documents.len());
    for document in documents {
        branches.push(builder.branch(document)?);
    }
    builder.file_unseen_comments(&mut branches);
    Ok(Read::Document(Document { branches, text, aliases_expanded: false }))
}

/// Parses a text into nodes.
fn parse(text: &[u8]) -> Result<(Vec<ParsedDocument>, Vec<Span>), ParseError> {
    if text.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let scan_error = |error: ScanError| ParseError::at(text, error.offset, error.problem);
    let (documents, comments) = Parser::new(text).map_err(scan_error)?.parse().map_err(scan_error)?;
    if documents.is_empty() {
        let mut error = ParseError::at(text, 0, "there is no document in the file, only blanks or comments");
        error.empty = true;
        return Err(error);
    }
    Ok((documents, comments))
}

/// Column of byte `offset`, in characters from 0.
pub(super) fn column_of(text: &[u8], offset: usize) -> usize {
    let line = &text[super::start_of_line(text, offset).min(offset)..offset];
    line.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

// ---------------------------------------------------------------- rules on nodes

/// Refuses what sops refuses: tops that are not maps, duplicate keys, impossible tags and merges.
///
/// sops looks for duplicate keys in the first document only; here every document is looked at.
fn check(text: &[u8], documents: &[ParsedDocument]) -> Result<(), ParseError> {
    for document in documents {
        let root = &document.root;
        match &root.content {
            Content::Map { .. } | Content::Alias => {}
            Content::List { .. } => {
                return Err(ParseError::at(
                    text,
                    root.span.start,
                    "the top level is a list, but must be a map",
                ));
            }
            Content::Scalar { style, .. } => {
                let leaf = leaf_of(root, *style, false, -1, false);
                if spell::read(text, &leaf)?.is_some() {
                    let problem = "the top level is a single value, but must be a map";
                    return Err(ParseError::at(text, root.span.start, problem));
                }
            }
        }
        check_node(text, root)?;
    }
    Ok(())
}

fn check_node(text: &[u8], node: &Parsed) -> Result<(), ParseError> {
    match &node.content {
        Content::Scalar { style, in_flow, parent_indent } => {
            if node.tag.is_none() {
                return Ok(());
            }
            spell::check_tag(text, &leaf_of(node, *style, *in_flow, *parent_indent, false))
        }
        Content::Alias => Ok(()),
        Content::List { items, .. } => items.iter().try_for_each(|item| check_node(text, &item.node)),
        Content::Map { pairs, .. } => {
            check_duplicates(text, pairs)?;
            for pair in pairs {
                check_node(text, &pair.key)?;
                check_merge(text, pair)?;
                check_node(text, &pair.value)?;
            }
            Ok(())
        }
    }
}

/// Two keys are the same when their text is, whatever their quotes, as in go-yaml.
fn check_duplicates(text: &[u8], pairs: &[ParsedPair]) -> Result<(), ParseError> {
    if pairs.len() < 2 {
        return Ok(());
    }
    let mut seen: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(pairs.len());
    for pair in pairs {
        let start = pair.key.span.start;
        if let Some(first) = seen.insert(key_text(text, &pair.key)?, start) {
            let name = key_text(text, &pair.key)?;
            let line = Position::of(text, first).line;
            let problem = format!("mapping key {name:?} already defined at line {line}");
            return Err(ParseError::at(text, start, problem));
        }
    }
    Ok(())
}

fn check_merge(text: &[u8], pair: &ParsedPair) -> Result<(), ParseError> {
    let plain = matches!(pair.key.content, Content::Scalar { style: LeafStyle::Plain, .. });
    if !plain || pair.key.span.of(text) != b"<<" || pair.key.tag.is_some() {
        return Ok(());
    }
    let is_map = |node: &Parsed| matches!(node.content, Content::Map { .. } | Content::Alias);
    let fits = match &pair.value.content {
        Content::List { items, .. } => items.iter().all(|item| is_map(&item.node)),
        _ => is_map(&pair.value),
    };
    if fits {
        return Ok(());
    }
    let problem = "map merge requires map or sequence of maps as the value";
    Err(ParseError::at(text, pair.value.span.start, problem))
}

/// The text of a key; a collection has none of its own.
fn key_text<'t>(text: &'t [u8], key: &Parsed) -> Result<Cow<'t, str>, ParseError> {
    let Content::Scalar { style, .. } = key.content else {
        return Ok(String::from_utf8_lossy(key.span.of(text)));
    };
    let written = key.span.of(text);
    let inner = match style {
        LeafStyle::Plain => written,
        LeafStyle::Single | LeafStyle::Double => &written[1..written.len() - 1],
        LeafStyle::Block(_) => b"\\",
    };
    // Nothing folded, nothing escaped: the text is what is written.
    if inner.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\')) {
        return Ok(String::from_utf8_lossy(inner));
    }
    let decoded = spell::decode(text, &leaf_of(key, style, false, -1, false))?;
    Ok(Cow::Owned(String::from_utf8_lossy(decoded.expose()).into_owned()))
}

fn leaf_of(node: &Parsed, style: LeafStyle, in_flow: bool, parent_indent: isize, in_list: bool) -> Leaf {
    Leaf {
        span: node.span,
        style,
        in_flow,
        tag: node.tag.clone(),
        tag_span: node.tag_span,
        parent_indent,
        in_list,
        sealed_comment: false,
        ends_empty_list: false,
    }
}

// ---------------------------------------------------------------- building

struct Builder<'t> {
    text: &'t [u8],
    comment_lines: Vec<Span>,
    seen: Vec<bool>,
}

impl Builder<'_> {
    fn branch(&mut self, document: ParsedDocument) -> Result<Branch, ParseError> {
        let mut entries = Vec::new();
        self.map_comments(&mut entries, &document.head, false);
        let root = document.root;
        let (span, layout) = match &root.content {
            Content::Map { layout, .. } => (root.span, layout_of(*layout)),
            _ => (root.span, Layout::Absent),
        };
        let foot = root.foot.clone();
        self.map_comments(&mut entries, &root.head, false);
        self.map_comments(&mut entries, &root.line, false);
        if let Content::Map { pairs, .. } = root.content {
            self.pairs(&mut entries, pairs)?;
        }
        self.map_comments(&mut entries, &foot, false);
        self.map_comments(&mut entries, &document.foot, false);
        Ok(Branch { root: Map { entries, span, layout }, end: document.end })
    }

    /// SOPS 3.13 (stores/yaml): comments of the key, then those of a scalar value, then the pair, then the feet.
    fn pairs(&mut self, entries: &mut Vec<Entry>, pairs: Vec<ParsedPair>) -> Result<(), ParseError> {
        for ParsedPair { start, key, mut value, end } in pairs {
            self.map_comments(entries, &key.head, false);
            self.map_comments(entries, &key.line, false);
            let scalar = matches!(value.content, Content::Scalar { .. } | Content::Alias);
            if scalar {
                self.map_comments(entries, &value.head, false);
                self.map_comments(entries, &value.line, true);
            }
            let value_foot = std::mem::take(&mut value.foot);
            if !scalar {
                value.foot.clone_from(&value_foot);
            }
            let name = key_text(self.text, &key)?.into_owned();
            let is_text = self.is_text_key(&key);
            let span = Span::new(start, end);
            let node = self.node(value, scalar, false)?;
            entries.push(Entry::Pair(Pair { key: Key { name, span: key.span, is_text }, value: node, span }));
            if scalar {
                self.map_comments(entries, &value_foot, false);
            }
            self.map_comments(entries, &key.foot, false);
        }
        Ok(())
    }

    fn is_text_key(&self, key: &Parsed) -> bool {
        match (&key.content, key.tag.as_deref()) {
            (Content::Scalar { style: LeafStyle::Plain, .. }, None | Some("!")) => {
                let text = String::from_utf8_lossy(key.span.of(self.text));
                matches!(scalar::resolve(&text), scalar::Resolved::Str | scalar::Resolved::Merge)
            }
            (Content::Scalar { .. }, Some("!!int" | "!!float" | "!!bool" | "!!null" | "!!timestamp")) => {
                false
            }
            (Content::Scalar { .. }, _) => true,
            _ => false,
        }
    }

    /// A node's tree. `handled`: its own comments were placed by the caller.
    fn node(&mut self, node: Parsed, handled: bool, in_list: bool) -> Result<Node, ParseError> {
        let span = node.span;
        match node.content {
            Content::Scalar { style, in_flow, parent_indent } => {
                let tag_span = node.tag_span;
                let (tag, sealed_comment) = (node.tag, in_list && is_sealed_comment(span.of(self.text)));
                Ok(Node::Leaf(Leaf {
                    span,
                    style,
                    in_flow,
                    tag,
                    tag_span,
                    parent_indent,
                    in_list,
                    sealed_comment,
                    ends_empty_list: false,
                }))
            }
            Content::Alias => unreachable!("aliases were written out before the tree is built"),
            Content::List { items, layout } => {
                let mut list = Vec::with_capacity(items.len());
                if !handled {
                    self.list_comments(&mut list, &node.head, false);
                    self.list_comments(&mut list, &node.line, false);
                }
                for ParsedItem { start, mut node, end } in items {
                    self.list_comments(&mut list, &node.head, false);
                    self.list_comments(&mut list, &node.line, true);
                    let foot = std::mem::take(&mut node.foot);
                    let span = Span::new(start, end);
                    list.push(Item::Value { node: self.node(node, true, true)?, span });
                    self.list_comments(&mut list, &foot, false);
                }
                if !handled {
                    self.list_comments(&mut list, &node.foot, false);
                }
                mark_end_of_empty_list(&mut list);
                Ok(Node::List(List { items: list, span, layout: layout_of(layout) }))
            }
            Content::Map { pairs, layout } => {
                let mut entries = Vec::with_capacity(pairs.len());
                if !handled {
                    self.map_comments(&mut entries, &node.head, false);
                    self.map_comments(&mut entries, &node.line, false);
                }
                self.pairs(&mut entries, pairs)?;
                if !handled {
                    self.map_comments(&mut entries, &node.foot, false);
                }
                Ok(Node::Map(Map { entries, span, layout: layout_of(layout) }))
            }
        }
    }

    fn map_comments(&mut self, entries: &mut Vec<Entry>, lines: &Lines, inline: bool) {
        for &line in lines.iter().flatten() {
            entries.push(Entry::Comment(self.comment(line, inline, false)));
        }
    }

    fn list_comments(&mut self, items: &mut Vec<Item>, lines: &Lines, inline: bool) {
        for &line in lines.iter().flatten() {
            items.push(Item::Comment(self.comment(line, inline, true)));
        }
    }

    fn comment(&mut self, line: usize, inline: bool, in_list: bool) -> Comment {
        self.seen[line] = true;
        let span = self.comment_lines[line];
        Comment { span: Span::new(span.start + 1, span.end), inline, in_list, unseen: false }
    }

    /// Files the comments that go-yaml drops under the innermost collection around them: sops never sees them,
    /// but they may not stay in clear.
    fn file_unseen_comments(&self, branches: &mut [Branch]) {
        let lines = self.comment_lines.iter().zip(&self.seen).filter(|(_, seen)| !**seen);
        let unseen: Vec<Span> = lines.map(|(line, _)| Span::new(line.start + 1, line.end)).collect();
        let mut rest = &unseen[..];
        let last = branches.len().saturating_sub(1);
        for (at, branch) in branches.iter_mut().enumerate() {
            let inside =
                if at == last { rest.len() } else { rest.partition_point(|span| span.start <= branch.end) };
            let (own, others) = rest.split_at(inside);
            rest = others;
            file_into_map(&mut branch.root, own);
        }
    }
}

/// Files comments, which are in order, in a map or in the collections in it.
fn file_into_map(map: &mut Map, mut unseen: &[Span]) {
    let mut own = Vec::new();
    for entry in &mut map.entries {
        if let Entry::Pair(pair) = entry {
            unseen = file_into_node(&mut pair.value, unseen, &mut own);
        }
    }
    own.extend_from_slice(unseen);
    map.entries.extend(own.into_iter().map(|span| Entry::Comment(unseen_comment(span))));
}

fn file_into_list(list: &mut List, mut unseen: &[Span]) {
    let mut own = Vec::new();
    for item in &mut list.items {
        if let Item::Value { node, .. } = item {
            unseen = file_into_node(node, unseen, &mut own);
        }
    }
    own.extend_from_slice(unseen);
    list.items.extend(own.into_iter().map(|span| Item::Comment(unseen_comment(span))));
}

/// Files the comments inside `node` there, those before it in `before`, and gives back those behind it.
fn file_into_node<'u>(node: &mut Node, unseen: &'u [Span], before: &mut Vec<Span>) -> &'u [Span] {
    if unseen.is_empty() || matches!(node, Node::Leaf(_)) {
        return unseen;
    }
    let span = node.span();
    let (outside, rest) = unseen.split_at(unseen.partition_point(|comment| comment.start <= span.start));
    let (inside, behind) = rest.split_at(rest.partition_point(|comment| comment.start < span.end));
    before.extend_from_slice(outside);
    match node {
        Node::Map(map) if !inside.is_empty() => file_into_map(map, inside),
        Node::List(list) if !inside.is_empty() => file_into_list(list, inside),
        _ => {}
    }
    behind
}

fn unseen_comment(span: Span) -> Comment {
    Comment { span, inline: false, in_list: false, unseen: true }
}

fn layout_of(layout: ParsedLayout) -> Layout {
    match layout {
        ParsedLayout::Block { column } => Layout::Block { column },
        ParsedLayout::Flow => Layout::Flow,
    }
}

/// Whether the text is a comment as sops seals it in a list.
fn is_sealed_comment(text: &[u8]) -> bool {
    text.starts_with(b"ENC[AES256_GCM,") && text.ends_with(b",type:comment]")
}

fn mark_end_of_empty_list(items: &mut [Item]) {
    let only_comments = items.iter().all(|item| match item {
        Item::Value { node: Node::Leaf(leaf), .. } => leaf.sealed_comment,
        Item::Value { .. } => false,
        Item::Comment(_) => true,
    });
    if let (true, Some(Item::Value { node: Node::Leaf(leaf), .. })) = (only_comments, items.last_mut()) {
        leaf.ends_empty_list = true;
    }
}
