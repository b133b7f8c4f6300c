//! What a file holds, without the format it stands in: what one store reads and another prints.

use super::{ParseError, Store};
use crate::document::{Comment, CommentPart, Document, Entry, Item, Node};
use crate::secret::SecretBytes;
use crate::value::{Plaintext, Tree};

/// A value to print, comments included.
pub enum Content<'a> {
    /// `null`.
    Null,
    /// A scalar of its own.
    Held(Plaintext),
    /// A scalar that somebody else holds.
    Borrowed(&'a Plaintext),
    /// A list.
    List(Vec<Element<'a>>),
    /// A map.
    Map(Vec<Line<'a>>),
}

/// One entry of a list to print.
pub enum Element<'a> {
    /// A comment.
    Comment(Remark),
    /// A value.
    Value(Content<'a>),
}

/// One entry of a map to print.
pub enum Line<'a> {
    /// A comment.
    Comment(Remark),
    /// A key and its value.
    Pair(String, Content<'a>),
}

/// A comment without its marker.
pub struct Remark {
    /// The text.
    pub text: SecretBytes,
    /// Whether it stands behind a value on the same line.
    pub inline: bool,
    /// Whether sops drops it.
    pub unseen: bool,
}

impl<'a> From<&'a Tree> for Content<'a> {
    fn from(tree: &'a Tree) -> Self {
        match tree {
            Tree::Null => Content::Null,
            Tree::Leaf(value) => Content::Borrowed(value),
            Tree::List(items) => {
                Content::List(items.iter().map(|item| Element::Value(item.into())).collect())
            }
            Tree::Map(pairs) => {
                Content::Map(pairs.iter().map(|(key, value)| Line::Pair(key.clone(), value.into())).collect())
            }
        }
    }
}

impl Content<'_> {
    /// The value of a scalar.
    pub fn value(&self) -> Option<&Plaintext> {
        match self {
            Content::Held(value) => Some(value),
            Content::Borrowed(value) => Some(value),
            _ => None,
        }
    }
}

impl Content<'static> {
    /// The same without comments, at any depth.
    pub fn without_comments(self) -> Self {
        match self {
            Content::List(elements) => {
                let values = elements.into_iter().filter_map(|element| match element {
                    Element::Value(value) => Some(Element::Value(value.without_comments())),
                    Element::Comment(_) => None,
                });
                Content::List(values.collect())
            }
            Content::Map(lines) => {
                let pairs = lines.into_iter().filter_map(|line| match line {
                    Line::Pair(key, value) => Some(Line::Pair(key, value.without_comments())),
                    Line::Comment(_) => None,
                });
                Content::Map(pairs.collect())
            }
            scalar => scalar,
        }
    }

    /// What a node holds.
    pub fn of_node(document: &Document, node: &Node, store: &dyn Store) -> Result<Self, ParseError> {
        Ok(match node {
            Node::Leaf(leaf) => store.read(document, leaf)?.map_or(Content::Null, Content::Held),
            Node::List(list) => {
                let elements = list.items.iter().map(|item| match item {
                    Item::Comment(comment) => Ok(Element::Comment(Remark::of(document, comment))),
                    Item::Value { node, .. } => Self::of_node(document, node, store).map(Element::Value),
                });
                Content::List(elements.collect::<Result<_, _>>()?)
            }
            Node::Map(map) => Content::Map(Self::of_entries(document, &map.entries, store)?),
        })
    }

    /// What each document of a file holds; the metadata counts as an entry like others.
    pub fn of_document(
        document: &Document,
        store: &dyn Store,
    ) -> Result<Vec<Vec<Line<'static>>>, ParseError> {
        let roots = document.branches.iter().map(|branch| &branch.root.entries);
        roots.map(|entries| Self::of_entries(document, entries, store)).collect()
    }

    fn of_entries(
        document: &Document,
        entries: &[Entry],
        store: &dyn Store,
    ) -> Result<Vec<Line<'static>>, ParseError> {
        // Further lines of a comment are in the text of the first one.
        let is_other =
            |entry: &&Entry| matches!(entry, Entry::Comment(comment) if comment.part == CommentPart::Other);
        let lines = entries.iter().filter(|entry| !is_other(entry)).map(|entry| match entry {
            Entry::Comment(comment) => Ok(Line::Comment(Remark::of(document, comment))),
            Entry::Pair(pair) => {
                let value = Self::of_node(document, &pair.value, store)?;
                Ok(Line::Pair(pair.key.name.clone(), value))
            }
        });
        lines.collect()
    }
}

impl Remark {
    fn of(document: &Document, comment: &Comment) -> Self {
        let text = SecretBytes::copy_of(document.comment_text(comment));
        Self { text, inline: comment.inline, unseen: comment.unseen }
    }
}
