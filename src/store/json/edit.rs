//! Setting and removing values as changes to the text.

use super::layout::{self, Layout};
use super::values;
use crate::document::{Document, FindError, Leaf, List, METADATA_KEY, Map, Node, Pair, Patch};
use crate::key_path::{Step, TreePath};
use crate::secret::SecretText;
use crate::span::Span;
use crate::store::{Edit, EditError};
use crate::value::Tree;

/// Sets what `path` names to `value`.
///
/// SOPS 3.13: missing parents are made, a scalar in the way is replaced by the new structure, a list index at or
/// behind the end appends.
pub(super) fn set(document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
    let root = &document.branches.first().ok_or(FindError::Empty)?.root;
    let Some(Step::Key(_)) = path.steps().first() else {
        let is_root = path.steps().is_empty();
        return Err(if is_root { EditError::WholeFile } else { EditError::RootIsMap });
    };
    let mut found = Found::Map(root);
    for (number, step) in path.steps().iter().enumerate() {
        let rest = &path.steps()[number + 1..];
        let next = match (found, step) {
            (Found::Map(map), Step::Key(key)) => match map.pair(key) {
                Some(pair) => &pair.value,
                None => return Ok(append_pair(document, map, key, &built(rest, value))),
            },
            (Found::List(list), Step::Index(index)) => match values(list).nth(*index) {
                Some((node, _)) => node,
                None => return Ok(append_item(document, list, &built(rest, value))),
            },
            (Found::Leaf(leaf), _) => {
                return Ok(replace(document, leaf.span, &built(&path.steps()[number..], value)));
            }
            (_, Step::Index(index)) => return Err(FindError::NotAList { index: *index }.into()),
            (_, Step::Key(key)) => return Err(FindError::NotAMap { key: key.clone() }.into()),
        };
        found = Found::of(next);
    }
    Ok(replace(document, found.span(), value))
}

/// Removes what `path` names.
pub(super) fn unset(document: &Document, path: &TreePath) -> Result<Patch, EditError> {
    let root = &document.branches.first().ok_or(FindError::Empty)?.root;
    let (last, parents) = path.steps().split_last().ok_or(EditError::WholeFile)?;
    let mut found = Found::Map(root);
    for step in parents {
        found = Found::of(found.child(step)?.0);
    }
    let (_, at) = found.child(last)?;
    let mut patch = Patch::new();
    let (spans, whole): (Vec<Span>, Span) = match found {
        Found::Map(map) => (map.pairs().map(|pair| pair.span).collect(), map.span),
        Found::List(list) => (values(list).map(|(_, span)| span).collect(), list.span),
        Found::Leaf(_) => unreachable!("a scalar has no children"),
    };
    patch.replace(removed(&spans, at, whole), "");
    Ok(patch)
}

/// What goes with the entry at `at`: a comma, or the blanks of a collection that becomes empty.
fn removed(spans: &[Span], at: usize, whole: Span) -> Span {
    match (spans.get(at + 1), at.checked_sub(1)) {
        (Some(next), _) => Span::new(spans[at].start, next.start),
        (None, Some(before)) => Span::new(spans[before].end, spans[at].end),
        (None, None) => Span::new(whole.start + 1, whole.end - 1),
    }
}

#[derive(Clone, Copy)]
enum Found<'d> {
    Map(&'d Map),
    List(&'d List),
    Leaf(&'d Leaf),
}

impl<'d> Found<'d> {
    fn of(node: &'d Node) -> Self {
        match node {
            Node::Map(map) => Found::Map(map),
            Node::List(list) => Found::List(list),
            Node::Leaf(leaf) => Found::Leaf(leaf),
        }
    }

    fn span(self) -> Span {
        match self {
            Found::Map(map) => map.span,
            Found::List(list) => list.span,
            Found::Leaf(leaf) => leaf.span,
        }
    }

    /// The child that a step names, and its number.
    fn child(self, step: &Step) -> Result<(&'d Node, usize), FindError> {
        match (self, step) {
            (Found::Map(map), Step::Key(key)) => {
                let found = map.pairs().enumerate().find(|(_, pair)| pair.key.name == *key);
                let (at, pair) = found.ok_or_else(|| FindError::NoSuchKey { key: key.clone() })?;
                Ok((&pair.value, at))
            }
            (Found::List(list), Step::Index(index)) => {
                let (node, _) = values(list).nth(*index).ok_or(FindError::OutOfBounds { index: *index })?;
                Ok((node, *index))
            }
            (_, Step::Index(index)) => Err(FindError::NotAList { index: *index }),
            (_, Step::Key(key)) => Err(FindError::NotAMap { key: key.clone() }),
        }
    }
}

/// The value inside the parents that `steps` ask for.
fn built(steps: &[Step], value: &Tree) -> Tree {
    steps.iter().rev().fold(value.copy(), |inner, step| match step {
        Step::Key(key) => Tree::Map(vec![(key.clone(), inner)]),
        Step::Index(_) => Tree::List(vec![inner]),
    })
}

fn replace(document: &Document, span: Span, value: &Tree) -> Edit {
    let mut text = SecretText::default();
    layout::print(&mut text, &value.into(), &Layout::at(document, span.start), 0);
    let mut patch = Patch::new();
    patch.replace(span, text);
    Edit { patch, place: span.start }
}

fn insert(at: usize, text: SecretText) -> Edit {
    let mut patch = Patch::new();
    patch.replace(Span::at(at), text);
    Edit { patch, place: at }
}

fn append_pair(document: &Document, map: &Map, key: &str, value: &Tree) -> Edit {
    let text = document.bytes();
    let own = |pair: &&Pair| !is_root(document, map) || pair.key.name != METADATA_KEY;
    let mut entry = SecretText::default();
    let first = map.pairs().next();
    match (map.pairs().filter(own).last(), first) {
        (Some(last), _) => {
            let layout = Layout::of_map(document, map);
            entry.push_str(",");
            entry.push(layout.separator(text, map));
            let inner = Layout::at(document, last.span.start);
            print_entry(&mut entry, key, value, &layout, inner);
            insert(last.span.end, entry)
        }
        // Nothing but the metadata, which stays the last.
        (None, Some(metadata)) => {
            let layout = Layout::of_map(document, map);
            let inner = Layout::at(document, metadata.span.start);
            print_entry(&mut entry, key, value, &layout, inner);
            entry.push_str(",");
            entry.push(layout::blanks_before(text, metadata.span.start));
            insert(metadata.span.start, entry)
        }
        (None, None) => replace(document, map.span, &Tree::Map(vec![(key.to_owned(), value.copy())])),
    }
}

/// Prints an entry: `layout` is that of its map, `inner` that of the file, if the map does not show one.
fn print_entry(out: &mut SecretText, key: &str, value: &Tree, layout: &Layout<'_>, inner: Layout<'_>) {
    let layout = if layout.newline.is_some() { layout } else { &inner };
    layout::print_pair(out, key, &value.into(), layout, 0);
}

fn append_item(document: &Document, list: &List, value: &Tree) -> Edit {
    let text = document.bytes();
    let Some((_, last)) = values(list).last() else {
        return replace(document, list.span, &Tree::List(vec![value.copy()]));
    };
    let layout = Layout::at(document, last.start);
    let mut entry = SecretText::from(",");
    entry.push(layout.separator_in(text, list));
    layout::print(&mut entry, &value.into(), &layout, 0);
    insert(last.end, entry)
}

fn is_root(document: &Document, map: &Map) -> bool {
    document.branches.first().is_some_and(|branch| std::ptr::eq(&raw const branch.root, map))
}

// ---------------------------------------------------------------- comments

/// Takes a comment that sops sealed as an element out of its list.
///
/// SOPS 3.13: such elements come from YAML; JSON has no place for a comment, so none is printed.
pub(super) fn remove_comment(patch: &mut Patch, document: &Document, leaf: &Leaf) {
    let Some(list) = document.branches.iter().find_map(|branch| list_in_map(&branch.root, leaf)) else {
        return;
    };
    let is_comment = |span: Span| span.of(document.bytes()).ends_with(b",type:comment]\"");
    let spans: Vec<Span> = values(list).map(|(_, span)| span).collect();
    let Some(at) = spans.iter().position(|&span| span == leaf.span) else { return };
    let first_value = spans.iter().position(|&span| !is_comment(span));
    let span = match first_value {
        // What comes before the first value goes up to it, what comes later goes with the comma before it.
        Some(value) if at < value => Span::new(spans[at].start, spans[at + 1].start),
        Some(_) => Span::new(spans[at - 1].end, spans[at].end),
        None if at == 0 => Span::new(list.span.start + 1, list.span.end - 1),
        None => return,
    };
    patch.replace(span, "");
}

fn list_in_map<'d>(map: &'d Map, leaf: &Leaf) -> Option<&'d List> {
    let holds = |span: Span| span.start <= leaf.span.start && leaf.span.end <= span.end;
    map.pairs().find(|pair| holds(pair.span)).and_then(|pair| list_in(&pair.value, leaf))
}

fn list_in<'d>(node: &'d Node, leaf: &Leaf) -> Option<&'d List> {
    let holds = |span: Span| span.start <= leaf.span.start && leaf.span.end <= span.end;
    match node {
        Node::Leaf(_) => None,
        Node::Map(map) => list_in_map(map, leaf),
        Node::List(list) => match values(list).find(|(_, span)| holds(*span))?.0 {
            Node::Leaf(_) => Some(list),
            inner => list_in(inner, leaf),
        },
    }
}
