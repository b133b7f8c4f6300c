//! Leaves and comments in the order in which the MAC takes them.

use super::{Comment, Document, Entry, Item, Leaf, List, Map, MetadataKeys, Node, Pair};
use crate::key_path::KeyPath;
use crate::selection::{CommentStack, Scope, Selection};

/// What stands at a [`Place`].
#[derive(Clone, Copy)]
pub enum Spot<'d> {
    /// A scalar.
    Leaf(&'d Leaf),
    /// A comment.
    Comment(&'d Comment),
}

/// One stop of a walk.
pub struct Place<'w, 'd> {
    /// The scalar or comment.
    pub spot: Spot<'d>,
    /// The map keys above it. A comment has the path of the map or list it stands in.
    pub path: &'w KeyPath,
    /// Whether the selection seals it.
    pub selected: bool,
}

/// Visits every leaf and comment, document by document, depth first, without the metadata.
///
/// A key that is not text ends the walk with [`WalkError::NotText`].
pub fn walk<'d, E: From<WalkError>>(
    document: &'d Document,
    selection: &Selection,
    visit: impl FnMut(Place<'_, 'd>) -> Result<(), E>,
) -> Result<(), E> {
    let comments = CommentStack::new(selection);
    let mut walker = Walker { document, path: KeyPath::root(), selection, comments, visit };
    for branch in &document.branches {
        walker.map(&branch.root, selection.root(), Some(branch.metadata_keys))?;
    }
    Ok(())
}

/// Why a tree cannot be walked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// A key that is a number, a boolean, a date, null or a collection.
    #[error("the key {key:?} under {path} is not text; only text keys can be sealed")]
    NotText {
        /// The key as it is written.
        key: String,
        /// The map it stands in.
        path: KeyPath,
    },
}

struct Walker<'s, 'd, F> {
    document: &'d Document,
    path: KeyPath,
    selection: &'s Selection,
    comments: CommentStack<'s>,
    visit: F,
}

impl<'d, F> Walker<'_, 'd, F> {
    fn map<E: From<WalkError>>(
        &mut self,
        map: &'d Map,
        scope: Scope,
        metadata_keys: Option<MetadataKeys>,
    ) -> Result<(), E>
    where
        F: FnMut(Place<'_, 'd>) -> Result<(), E>,
    {
        self.comments.enter();
        let is_metadata = |pair: &Pair| metadata_keys.is_some_and(|keys| keys.names(&pair.key.name));
        let block = metadata_keys.filter(|keys| *keys == MetadataKeys::Entry);
        let metadata = block.and_then(|_| map.pairs().find(|pair| is_metadata(pair))).map(|pair| pair.span);
        let in_metadata = |comment: &Comment| {
            metadata.is_some_and(|span| span.start <= comment.span.start && comment.span.end <= span.end)
        };
        for entry in &map.entries {
            match entry {
                // Comes and goes with the metadata.
                Entry::Comment(comment) if in_metadata(comment) => {}
                Entry::Comment(comment) => self.comment(comment, scope)?,
                Entry::Pair(pair) if is_metadata(pair) => {}
                Entry::Pair(pair) => {
                    if !pair.key.is_text {
                        let (key, path) = (pair.key.name.clone(), self.path.clone());
                        return Err(WalkError::NotText { key, path }.into());
                    }
                    self.path.push(&pair.key.name);
                    self.node(&pair.value, self.selection.within(scope, &pair.key.name))?;
                    self.path.pop();
                    self.comments.item_done();
                }
            }
        }
        self.comments.leave();
        Ok(())
    }

    fn list<E: From<WalkError>>(&mut self, list: &'d List, scope: Scope) -> Result<(), E>
    where
        F: FnMut(Place<'_, 'd>) -> Result<(), E>,
    {
        self.comments.enter();
        for item in &list.items {
            match item {
                Item::Comment(comment) => self.comment(comment, scope)?,
                Item::Value { node: Node::Leaf(leaf), .. } if leaf.sealed_comment => {
                    // sops: takes it for a value here, so that what follows a comment which stays in clear and one
                    // which is sealed does not open again (getsops/sops#2281).
                    self.comments.comment(&String::from_utf8_lossy(leaf.span.of(self.document.bytes())));
                    let selected = self.selection.selects_comment_in(scope, &self.comments);
                    (self.visit)(Place { spot: Spot::Leaf(leaf), path: &self.path, selected })?;
                }
                Item::Value { node, .. } => {
                    self.node(node, scope)?;
                    self.comments.item_done();
                }
            }
        }
        self.comments.leave();
        Ok(())
    }

    fn node<E: From<WalkError>>(&mut self, node: &'d Node, scope: Scope) -> Result<(), E>
    where
        F: FnMut(Place<'_, 'd>) -> Result<(), E>,
    {
        match node {
            Node::Map(map) => self.map(map, scope, None),
            Node::List(list) => self.list(list, scope),
            Node::Leaf(leaf) => {
                let selected = self.selection.selects_value_in(scope, &self.comments);
                (self.visit)(Place { spot: Spot::Leaf(leaf), path: &self.path, selected })
            }
        }
    }

    fn comment<E: From<WalkError>>(&mut self, comment: &'d Comment, scope: Scope) -> Result<(), E>
    where
        F: FnMut(Place<'_, 'd>) -> Result<(), E>,
    {
        let text = String::from_utf8_lossy(self.document.comment_text(comment));
        if comment.unseen {
            // sops never reads it, so it decides about nothing else; it is judged by itself.
            let selected = self.selection.selects_comment_in(scope, &self.comments);
            return (self.visit)(Place { spot: Spot::Comment(comment), path: &self.path, selected });
        }
        self.comments.comment(&text);
        let selected = self.selection.selects_comment_in(scope, &self.comments);
        (self.visit)(Place { spot: Spot::Comment(comment), path: &self.path, selected })
    }
}
