//! A file's text with a tree over it.
//!
//! A [`Document`] owns the text; the tree holds only places in it and the map keys, which are public by
//! design. Values are read from their place when they are needed, so there is one copy of every secret.

mod patch;
mod tree;
mod walk;

pub use patch::{Origins, Patch, Rewrite};
pub use tree::{
    BlockShape, Branch, Chomp, Comment, CommentPart, Entry, Item, Key, Layout, Leaf, LeafStyle, List, Map,
    MetadataKeys, Node, Pair, Tag,
};
pub use walk::{Place, Spot, WalkError, walk};

use crate::key_path::{KeyPath, Step, TreePath};
use crate::secret::{SecretBytes, SecretText};

/// The name of the top-level entry that holds a sealed file's metadata.
pub const METADATA_KEY: &str = "sops";

/// What the keys of metadata start with in a format that has no maps.
pub const METADATA_PREFIX: &str = "sops_";

/// A parsed file: its text and the tree over it.
pub struct Document {
    /// The whole text.
    pub text: SecretText,
    /// The documents of the file; only YAML has other than one.
    pub branches: Vec<Branch>,
    /// Aliases were written out while parsing, so `text` is not what was given.
    pub aliases_expanded: bool,
    /// The comments that sops reads from several lines as one, as it reads them.
    pub comment_texts: Vec<SecretBytes>,
}

impl Document {
    /// Whether the first document has a top-level `sops` entry.
    pub fn has_metadata(&self) -> bool {
        self.branches.first().is_some_and(|branch| branch.metadata().is_some())
    }

    /// Whether an entry under this top-level key is metadata.
    pub fn names_metadata(&self, key: &str) -> bool {
        self.branches.first().is_some_and(|branch| branch.metadata_keys.names(key))
    }

    /// A comment as sops reads it, without its marker.
    pub fn comment_text(&self, comment: &Comment) -> &[u8] {
        match comment.part {
            CommentPart::First { text, .. } => self.comment_texts[text].expose(),
            CommentPart::Whole | CommentPart::Other => comment.span.of(self.bytes()),
        }
    }

    /// Wipes the texts, and leaves the memory of the tree to the end of the process.
    pub(crate) fn wipe_and_leave(mut self) {
        self.comment_texts.iter_mut().for_each(SecretBytes::wipe);
        self.text.wipe();
        std::mem::forget(self);
    }

    /// The bytes of the text.
    pub fn bytes(&self) -> &[u8] {
        self.text.expose()
    }

    /// The node that `path` names in the first document; `None` for the top level, a comment, or nothing.
    pub fn node(&self, path: &TreePath) -> Option<&Node> {
        let (first, rest) = path.steps().split_first()?;
        let Step::Key(key) = first else { return None };
        let mut node = &self.branches.first()?.root.pair(key)?.value;
        for step in rest {
            node = match (node, step) {
                (Node::Map(map), Step::Key(key)) => &map.pair(key)?.value,
                (Node::List(list), Step::Index(index)) => match list.element(*index)? {
                    Item::Value { node, .. } => node,
                    Item::Comment(_) => return None,
                },
                _ => return None,
            };
        }
        Some(node)
    }

    /// Finds what `path` names in the first document.
    ///
    /// SOPS 3.13: indices count the comments of a list.
    pub fn find(&self, path: &TreePath) -> Result<Found<'_>, FindError> {
        let root = self.branches.first().ok_or(FindError::Empty)?;
        let mut found = Found { target: Target::Map(&root.root), key_path: KeyPath::root() };
        for step in path.steps() {
            let next = match (&found.target, step) {
                (Target::Map(map), Step::Key(key)) => {
                    let pair = map.pair(key).ok_or_else(|| FindError::NoSuchKey { key: key.clone() })?;
                    found.key_path.push(key);
                    Target::of(&pair.value)
                }
                (Target::List(list), Step::Index(index)) => match list.element(*index) {
                    Some(Item::Value { node, .. }) => Target::of(node),
                    Some(Item::Comment(comment)) => Target::Comment(comment),
                    None => return Err(FindError::OutOfBounds { index: *index }),
                },
                (_, Step::Index(index)) => return Err(FindError::NotAList { index: *index }),
                (_, Step::Key(key)) => return Err(FindError::NotAMap { key: key.clone() }),
            };
            found.target = next;
        }
        Ok(found)
    }
}

/// What a [`TreePath`] leads to, and the keys on the way.
pub struct Found<'d> {
    /// The thing found.
    pub target: Target<'d>,
    /// The map keys that lead to it.
    pub key_path: KeyPath,
}

/// A node, or a comment that counts as a list element.
#[derive(Clone, Copy)]
pub enum Target<'d> {
    /// A map.
    Map(&'d Map),
    /// A list.
    List(&'d List),
    /// A scalar.
    Leaf(&'d Leaf),
    /// A comment in a list.
    Comment(&'d Comment),
}

impl<'d> Target<'d> {
    fn of(node: &'d Node) -> Self {
        match node {
            Node::Map(map) => Target::Map(map),
            Node::List(list) => Target::List(list),
            Node::Leaf(leaf) => Target::Leaf(leaf),
        }
    }
}

/// Why a [`TreePath`] leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The file has no document.
    #[error("the file is empty")]
    Empty,
    /// A map without that key.
    #[error("component ['{key}'] not found")]
    NoSuchKey {
        /// The key that is missing.
        key: String,
    },
    /// A list that is shorter.
    #[error("component [{index}] accesses out of bounds")]
    OutOfBounds {
        /// The index asked for.
        index: usize,
    },
    /// An index where there is no list.
    #[error("component [{index}] is integer, but tree part is not a list")]
    NotAList {
        /// The index asked for.
        index: usize,
    },
    /// A key where there is no map.
    #[error("component ['{key}'] is a key, but tree part is not a map")]
    NotAMap {
        /// The key asked for.
        key: String,
    },
}
