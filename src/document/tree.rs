//! The tree over a text: maps, lists, leaves and comments as places.

use super::{METADATA_KEY, METADATA_PREFIX};
use crate::span::Span;

/// One document of a file.
pub struct Branch {
    /// The top-level map. Its layout is [`Layout::Absent`] when the document holds nothing.
    pub root: Map,
    /// Where the document ends: a new last entry of a block root goes here.
    pub end: usize,
    /// Which of its entries are metadata.
    pub metadata_keys: MetadataKeys,
}

impl Branch {
    /// The metadata: the `sops` entry, or the first of several.
    pub fn metadata(&self) -> Option<&Pair> {
        self.root.pairs().find(|pair| self.metadata_keys.names(&pair.key.name))
    }
}

/// Which top-level keys a format keeps for the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetadataKeys {
    /// One entry called `sops` that holds all of it.
    #[default]
    Entry,
    /// Every entry that starts with `sops_`, in a format that has no maps.
    Prefix,
}

impl MetadataKeys {
    /// Whether the entry under this top-level key is metadata.
    pub fn names(self, key: &str) -> bool {
        match self {
            MetadataKeys::Entry => key == METADATA_KEY,
            MetadataKeys::Prefix => key.starts_with(METADATA_PREFIX),
        }
    }
}

/// How a collection is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One entry a line (or more), the keys or dashes at this column.
    Block {
        /// Column in characters, from 0.
        column: usize,
    },
    /// In braces or brackets.
    Flow,
    /// Not there: an empty document.
    Absent,
}

/// A map, comments included.
pub struct Map {
    /// Entries in order.
    pub entries: Vec<Entry>,
    /// All of it, from the first entry or the opening brace to the end of the last one.
    pub span: Span,
    /// How it is written.
    pub layout: Layout,
}

impl Map {
    /// The first pair with this key.
    pub fn pair(&self, key: &str) -> Option<&Pair> {
        self.pairs().find(|pair| pair.key.name == key)
    }

    /// The pairs, without the comments.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Pair(pair) => Some(pair),
            Entry::Comment(_) => None,
        })
    }
}

/// One entry of a map.
pub enum Entry {
    /// A comment that stands in this map.
    Comment(Comment),
    /// A key and its value.
    Pair(Pair),
}

/// A key and its value.
pub struct Pair {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
    /// From the key to the end of the value.
    pub span: Span,
}

/// A map key.
pub struct Key {
    /// Its text.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// Whether it is text: the sops format has no other keys.
    pub is_text: bool,
}

/// A value of any shape.
pub enum Node {
    /// A map.
    Map(Map),
    /// A list.
    List(List),
    /// A scalar.
    Leaf(Leaf),
}

impl Node {
    /// The text of the node, without anchor and tag.
    pub fn span(&self) -> Span {
        match self {
            Node::Map(map) => map.span,
            Node::List(list) => list.span,
            Node::Leaf(leaf) => leaf.span,
        }
    }
}

/// A list, comments included.
pub struct List {
    /// Elements in order.
    pub items: Vec<Item>,
    /// All of it, from the first dash or the opening bracket to the end of the last element.
    pub span: Span,
    /// How it is written.
    pub layout: Layout,
}

impl List {
    /// The element at `index`, comments counted as sops counts them.
    pub fn element(&self, index: usize) -> Option<&Item> {
        self.elements().nth(index)
    }

    /// The elements, comments among them, as sops counts them.
    pub fn elements(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| !matches!(item, Item::Comment(comment) if comment.unseen))
    }
}

/// One element of a list.
pub enum Item {
    /// A comment. The sops format counts it as an element.
    Comment(Comment),
    /// A value.
    Value {
        /// The value.
        node: Node,
        /// From the dash (or the value itself) to the end of the value.
        span: Span,
    },
}

/// A scalar.
pub struct Leaf {
    /// Its text without anchor and tag; empty for a value that is left out.
    pub span: Span,
    /// How it is written.
    pub style: LeafStyle,
    /// Whether it stands inside braces or brackets, where fewer spellings are possible.
    pub in_flow: bool,
    /// Its explicit tag; few have one.
    pub tag: Option<Box<Tag>>,
    /// Column of the innermost block collection around it, -1 at the root: blocks must be deeper.
    pub parent_indent: isize,
    /// Whether the parent is a list.
    pub in_list: bool,
    /// Whether this is a comment of a list that sops sealed, which made an element of it.
    pub sealed_comment: bool,
    /// Whether it is the last of a list that has nothing but such comments: opened, the list is empty.
    pub ends_empty_list: bool,
}

impl Leaf {
    /// The name of its explicit tag.
    pub fn tag_name(&self) -> Option<&str> {
        self.tag.as_ref().map(|tag| &*tag.name)
    }
}

/// An explicit tag.
#[derive(Clone)]
pub struct Tag {
    /// The tag in the short form (`!!str`).
    pub name: Box<str>,
    /// Where it stands.
    pub span: Span,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafStyle {
    /// Without quotes.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// As a literal or folded block.
    Block(BlockShape),
}

/// What happens to the line breaks at the end of a block scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chomp {
    /// `-`: none is kept.
    Strip,
    /// One is kept.
    Clip,
    /// `+`: all are kept.
    Keep,
}

/// The measures of a literal or folded block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockShape {
    /// Folded (`>`) rather than literal (`|`).
    pub folded: bool,
    /// The chomping indicator.
    pub chomp: Chomp,
    /// Offset of the line below the header.
    pub content_start: usize,
    /// Offset behind the last line that is not blank, without its line break.
    pub content_end: usize,
    /// Column of the content.
    pub indent: usize,
    /// Column of the collection the block stands in; -1 at the root.
    pub parent_indent: isize,
    /// Whether the header names the indentation.
    pub explicit_indent: bool,
}

/// One line of comment.
#[derive(Debug, Clone, Copy)]
pub struct Comment {
    /// The text behind the marker, up to the end of the line.
    pub span: Span,
    /// Whether the marker stands behind a value on the same line.
    pub inline: bool,
    /// Whether the comment has a line of its own inside a list, where sops writes a sealed comment as an element.
    pub in_list: bool,
    /// Whether sops drops this comment when it reads the file. It is sealed all the same.
    pub unseen: bool,
    /// Whether sops takes it together with others.
    pub part: CommentPart,
}

/// How a line of comment belongs to those around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommentPart {
    /// sops reads it as a comment of its own.
    #[default]
    Whole,
    /// The first of several lines that sops reads as one comment.
    First {
        /// Which of [`Document::comment_texts`](super::Document::comment_texts) is all of it.
        text: usize,
        /// How many lines follow.
        others: usize,
    },
    /// A further line of such a comment. It is sealed in its place too, where sops passes over it.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file may hold a hundred thousand values, and each has an entry.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_entry_takes_little_more_than_its_places() {
        let sizes = [size_of::<Leaf>(), size_of::<Node>(), size_of::<Entry>()];
        assert!(sizes.iter().zip([80, 88, 152]).all(|(size, most)| *size <= most), "{sizes:?}");
    }
}
