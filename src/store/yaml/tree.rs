//! Nodes → the tree, with comments where sops files them.

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
    let column = Position::of(text, offset).column - 1;
    let line_start = text[..offset].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if line_start == 0 && text.starts_with(super::scan::BOM) { column - 1 } else { column }
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
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(pairs.len());
    for pair in pairs {
        let name = key_text(text, &pair.key)?;
        if let Some(first) = seen.insert(name.clone(), pair.key.span.start) {
            let line = Position::of(text, first).line;
            let problem = format!("mapping key {name:?} already defined at line {line}");
            return Err(ParseError::at(text, pair.key.span.start, problem));
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
fn key_text(text: &[u8], key: &Parsed) -> Result<String, ParseError> {
    match key.content {
        Content::Scalar { style, .. } => {
            let leaf = leaf_of(key, style, false, -1, false);
            let decoded = spell::decode(text, &leaf)?;
            Ok(String::from_utf8_lossy(decoded.expose()).into_owned())
        }
        _ => Ok(String::from_utf8_lossy(key.span.of(text)).into_owned()),
    }
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
        for ParsedPair { key, mut value, end } in pairs {
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
            let name = key_text(self.text, &key)?;
            let is_text = self.is_text_key(&key);
            let span = Span::new(key_start(self.text, &key), end);
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
        for (line, span) in self.comment_lines.iter().enumerate() {
            if self.seen[line] {
                continue;
            }
            let comment = Comment {
                span: Span::new(span.start + 1, span.end),
                inline: false,
                in_list: false,
                unseen: true,
            };
            let branch = branches.iter().position(|branch| span.start < branch.end);
            let Some(branch) = branches.get_mut(branch.unwrap_or(0)) else { continue };
            file_into_map(&mut branch.root, comment);
        }
    }
}

fn file_into_map(map: &mut Map, comment: Comment) {
    let at = comment.span.start;
    for entry in &mut map.entries {
        if let Entry::Pair(pair) = entry
            && pair.value.span().start < at
            && at < pair.value.span().end
        {
            match &mut pair.value {
                Node::Map(inner) => return file_into_map(inner, comment),
                Node::List(inner) => return file_into_list(inner, comment),
                Node::Leaf(_) => {}
            }
        }
    }
    map.entries.push(Entry::Comment(comment));
}

fn file_into_list(list: &mut List, comment: Comment) {
    let at = comment.span.start;
    for item in &mut list.items {
        if let Item::Value { node, .. } = item
            && node.span().start < at
            && at < node.span().end
        {
            match node {
                Node::Map(inner) => return file_into_map(inner, comment),
                Node::List(inner) => return file_into_list(inner, comment),
                Node::Leaf(_) => {}
            }
        }
    }
    list.items.push(Item::Comment(comment));
}

fn layout_of(layout: ParsedLayout) -> Layout {
    match layout {
        ParsedLayout::Block { column } => Layout::Block { column },
        ParsedLayout::Flow => Layout::Flow,
    }
}

/// Where a pair starts: at its key, or at the key's anchor, tag or `?`.
fn key_start(text: &[u8], key: &Parsed) -> usize {
    let mut start = key.span.start;
    loop {
        let before = text[..start].trim_ascii_end();
        let word = before.iter().rposition(|b| b.is_ascii_whitespace()).map_or(0, |at| at + 1);
        let gap_is_one_line = !text[before.len()..start].contains(&b'\n');
        let is_property = matches!(before.get(word), Some(b'&' | b'!')) || &before[word..] == b"?";
        if before.is_empty() || !is_property || !gap_is_one_line {
            return start;
        }
        start = word;
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
