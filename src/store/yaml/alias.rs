//! Aliases written out.
//!
//! SOPS 3.13: an alias becomes a copy of what it names, because a sealed value is bound to its own path. Only
//! the alias is replaced; the anchor stays where it is.

use std::collections::HashMap;

use super::emit::{Slot, pieces};
use super::parse::{Content, Parsed, ParsedDocument, ParsedLayout};
use super::tree::leaf_of;
use super::{end_of_line, spell};
use crate::document::Patch;
use crate::secret::SecretText;
use crate::span::Span;
use crate::store::{self, Element, Line, ParseError};

/// How many nodes all copies together may have.
const MAX_COPIED_NODES: usize = 200_000;

/// The text with every alias written out; `None` when it has none.
pub(super) fn expand(text: &[u8], documents: &[ParsedDocument]) -> Result<Option<SecretText>, ParseError> {
    let mut finder = Finder { text, anchors: HashMap::new(), open: Vec::new(), targets: HashMap::new() };
    for document in documents {
        finder.node(&document.root)?;
    }
    if finder.targets.is_empty() {
        return Ok(None);
    }
    let mut writer = Writer { text, targets: finder.targets, patch: Patch::new(), copied: 0 };
    for document in documents {
        writer.node(&document.root, Slot::Pair(0))?;
    }
    Ok(Some(writer.patch.apply(text)))
}

/// Finds what each alias names.
struct Finder<'t, 'p> {
    text: &'t [u8],
    anchors: HashMap<&'t [u8], &'p Parsed>,
    /// Anchors of the nodes around the one that is looked at.
    open: Vec<&'t [u8]>,
    /// Offset of an alias → the node it names.
    targets: HashMap<usize, &'p Parsed>,
}

impl<'t, 'p> Finder<'t, 'p> {
    fn node(&mut self, node: &'p Parsed) -> Result<(), ParseError> {
        let anchor = node.extras().anchor.map(|span| span.of(self.text));
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, node);
            self.open.push(anchor);
        }
        match &node.content {
            Content::Alias => {
                let name = Span::new(node.span.start + 1, node.span.end).of(self.text);
                if self.open.contains(&name) {
                    return Err(self.error(node, "the anchor's value contains itself"));
                }
                let target =
                    *self.anchors.get(name).ok_or_else(|| self.error(node, "unknown anchor referenced"))?;
                self.targets.insert(node.span.start, target);
            }
            Content::Scalar { .. } => {}
            Content::List { items, .. } => items.iter().try_for_each(|item| self.node(&item.node))?,
            Content::Map { pairs, .. } => {
                for pair in pairs {
                    self.node(&pair.key)?;
                    self.node(&pair.value)?;
                }
            }
        }
        if anchor.is_some() {
            self.open.pop();
        }
        Ok(())
    }

    fn error(&self, node: &Parsed, problem: &str) -> ParseError {
        ParseError::at(self.text, node.span.start, problem)
    }
}

struct Writer<'t, 'p> {
    text: &'t [u8],
    targets: HashMap<usize, &'p Parsed>,
    patch: Patch,
    copied: usize,
}

impl<'p> Writer<'_, 'p> {
    fn node(&mut self, node: &'p Parsed, slot: Slot) -> Result<(), ParseError> {
        match &node.content {
            Content::Scalar { .. } => Ok(()),
            Content::Alias => self.write_out(node, slot),
            Content::List { items, layout } => items.iter().try_for_each(|item| {
                let slot = match layout {
                    ParsedLayout::Flow => Slot::Flow,
                    ParsedLayout::Block { .. } => {
                        Slot::Item(super::tree::column_of(self.text, item.node.span.start))
                    }
                };
                self.node(&item.node, slot)
            }),
            Content::Map { pairs, layout } => pairs.iter().try_for_each(|pair| {
                let slot = match layout {
                    ParsedLayout::Flow => Slot::Flow,
                    ParsedLayout::Block { column } => Slot::Pair(*column),
                };
                self.node(&pair.key, Slot::Flow)?;
                self.node(&pair.value, slot)
            }),
        }
    }

    fn write_out(&mut self, alias: &'p Parsed, slot: Slot) -> Result<(), ParseError> {
        let target = self.targets[&alias.span.start];
        let copy = self.copy(target)?;
        let slot = if self.deeper_comment_follows(alias, slot) { Slot::Flow } else { slot };
        let (line, below) = pieces(&copy, slot, self.text);
        let mut span = alias.span;
        if line.is_empty() {
            span.start = self.text[..span.start].trim_ascii_end().len();
        }
        self.patch.replace(span, line);
        if !below.is_empty() {
            let line_end = end_of_line(self.text, span.end);
            let at = self.text[..line_end].trim_ascii_end().len().max(span.end);
            self.patch.replace(Span::at(at), below);
        }
        Ok(())
    }

    /// Whether a block in the place of `alias` could take the comment below it for its own text.
    fn deeper_comment_follows(&self, alias: &Parsed, slot: Slot) -> bool {
        let (Slot::Pair(column) | Slot::Item(column)) = slot else { return false };
        let mut at = end_of_line(self.text, alias.span.end);
        while at < self.text.len() {
            let next = end_of_line(self.text, at + 1);
            let line = &self.text[at..next];
            let indentation = line.iter().take_while(|&&byte| byte == b' ').count();
            if !line.trim_ascii().is_empty() {
                return line[indentation..].starts_with(b"#") && indentation > column.saturating_sub(1);
            }
            at = next;
        }
        false
    }

    fn copy(&mut self, node: &'p Parsed) -> Result<store::Content<'static>, ParseError> {
        self.copied += 1;
        if self.copied > MAX_COPIED_NODES {
            return Err(ParseError::at(self.text, node.span.start, "document contains excessive aliasing"));
        }
        Ok(match &node.content {
            Content::Alias => self.copy(self.targets[&node.span.start])?,
            Content::Scalar { style, .. } => {
                let leaf = leaf_of(node, *style, false, -1, false);
                spell::read(self.text, &leaf)?.map_or(store::Content::Null, store::Content::Held)
            }
            Content::List { items, .. } => {
                let elements = items.iter().map(|item| self.copy(&item.node).map(Element::Value));
                store::Content::List(elements.collect::<Result<_, _>>()?)
            }
            Content::Map { pairs, .. } => {
                let mut lines = Vec::with_capacity(pairs.len());
                for pair in pairs {
                    let name = match pair.key.content {
                        Content::Scalar { style, .. } => {
                            spell::decode(self.text, &leaf_of(&pair.key, style, false, -1, false))?
                        }
                        _ => {
                            return Err(ParseError::at(
                                self.text,
                                pair.key.span.start,
                                "the key is not text",
                            ));
                        }
                    };
                    let name = String::from_utf8_lossy(name.expose()).into_owned();
                    lines.push(Line::Pair(name, self.copy(&pair.value)?));
                }
                store::Content::Map(lines)
            }
        })
    }
}
