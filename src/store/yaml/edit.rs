//! Setting and removing values as changes to the text.

use super::emit::{self, Slot, pieces};
use super::{end_of_line, ends_line, line_break, scalar, spell, start_of_line, tree};
use crate::document::{
    Document, Entry, FindError, Item, Layout, Leaf, LeafStyle, List, METADATA_KEY, Map, Node, Pair, Patch,
};
use crate::key_path::{Step, TreePath};
use crate::secret::SecretText;
use crate::span::Span;
use crate::store::{Content, Edit, EditError, Style};
use crate::value::{Kind, Plaintext, Tree};

/// Sets what `path` names to `value`.
///
/// SOPS 3.13: missing parents are made, a scalar in the way is replaced by the new structure, a list index at or
/// behind the end appends.
pub(super) fn set(document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
    let branch = document.branches.first().ok_or(FindError::Empty)?;
    let (first, rest) = path.steps().split_first().ok_or(EditError::WholeFile)?;
    let Step::Key(key) = first else { return Err(EditError::RootIsMap) };
    let mut editor = Editor { document, text: document.bytes(), patch: Patch::new(), place: 0 };
    match branch.root.pair(key) {
        Some(pair) => editor.set_in_pair(&branch.root, pair, rest, value)?,
        None => editor.append_pair(&branch.root, key, &built(rest, value), branch.end),
    }
    Ok(Edit { patch: editor.patch, place: editor.place })
}

/// Removes what `path` names.
pub(super) fn unset(document: &Document, path: &TreePath) -> Result<Patch, EditError> {
    let branch = document.branches.first().ok_or(FindError::Empty)?;
    let (last, parents) = path.steps().split_last().ok_or(EditError::WholeFile)?;
    let mut editor = Editor { document, text: document.bytes(), patch: Patch::new(), place: 0 };
    let mut node: Option<&Node> = None;
    let mut key_column = None;
    let child = |node: Option<&Node>, step: &Step| -> Result<Place, FindError> {
        match (node, step) {
            (None, Step::Key(key)) => find_pair(&branch.root, key).map(Place::Root),
            (Some(Node::Map(map)), Step::Key(key)) => find_pair(map, key).map(Place::Pair),
            (Some(Node::List(list)), Step::Index(index)) => find_item(list, *index).map(Place::Item),
            (_, Step::Index(index)) => Err(FindError::NotAList { index: *index }),
            (_, Step::Key(key)) => Err(FindError::NotAMap { key: key.clone() }),
        }
    };
    for step in parents {
        let mut below =
            |pair: &Pair| key_column = Some(tree::column_of(document.bytes(), pair.key.span.start));
        node = Some(match (child(node, step)?, node) {
            (Place::Root(at), _) => {
                let pair = nth_pair(&branch.root, at);
                below(pair);
                &pair.value
            }
            (Place::Pair(at), Some(Node::Map(map))) => {
                let pair = nth_pair(map, at);
                below(pair);
                &pair.value
            }
            (Place::Item(at), Some(Node::List(list))) => match &list.items[at] {
                Item::Value { node, .. } => {
                    key_column = None;
                    node
                }
                Item::Comment(_) => return Err(EditError::IsComment),
            },
            _ => unreachable!("a place is in the node it was looked for in"),
        });
    }
    match (child(node, last)?, node) {
        (Place::Root(at), _) => editor.remove_pair(&branch.root, at),
        (Place::Pair(at), Some(Node::Map(map))) => editor.remove_pair(map, at),
        (Place::Item(at), Some(Node::List(list))) => editor.remove_item(list, at, key_column),
        _ => unreachable!("a place is in the node it was looked for in"),
    }
    Ok(editor.patch)
}

enum Place {
    Root(usize),
    Pair(usize),
    Item(usize),
}

fn find_pair(map: &Map, key: &str) -> Result<usize, FindError> {
    map.pairs()
        .position(|pair| pair.key.name == key)
        .ok_or_else(|| FindError::NoSuchKey { key: key.to_owned() })
}

fn nth_pair(map: &Map, at: usize) -> &Pair {
    map.pairs().nth(at).expect("the pair was found before")
}

/// The place in `items` of the element that sops calls `index`.
fn find_item(list: &List, index: usize) -> Result<usize, FindError> {
    let element = list.element(index).ok_or(FindError::OutOfBounds { index })?;
    let same = |item: &Item| std::ptr::eq(item, element);
    Ok(list.items.iter().position(same).expect("the element is one of the items"))
}

/// The value inside the parents that `steps` ask for.
fn built(steps: &[Step], value: &Tree) -> Tree {
    steps.iter().rev().fold(value.copy(), |inner, step| match step {
        Step::Key(key) => Tree::Map(vec![(key.clone(), inner)]),
        Step::Index(_) => Tree::List(vec![inner]),
    })
}

struct Editor<'d> {
    document: &'d Document,
    text: &'d [u8],
    patch: Patch,
    place: usize,
}

impl Editor<'_> {
    fn replace(&mut self, span: Span, text: SecretText) {
        self.place = span.start;
        self.patch.replace(span, text);
    }

    fn newline(&self) -> &'static str {
        line_break(self.text)
    }

    fn style(&self) -> Style {
        Style { indent: spell::indent_of(self.document), tabs: false }
    }

    // ------------------------------------------------------------ going down

    fn set_in_pair(&mut self, map: &Map, pair: &Pair, steps: &[Step], value: &Tree) -> Result<(), EditError> {
        let slot = match map.layout {
            Layout::Flow => Slot::Flow,
            _ => Slot::Pair(tree::column_of(self.text, pair.span.start)),
        };
        self.set_in_node(&pair.value, slot, steps, value)
    }

    fn set_in_node(
        &mut self,
        node: &Node,
        slot: Slot,
        steps: &[Step],
        value: &Tree,
    ) -> Result<(), EditError> {
        let Some((step, rest)) = steps.split_first() else {
            self.replace_node(node, slot, value);
            return Ok(());
        };
        match (node, step) {
            (Node::Map(map), Step::Key(key)) => match map.pair(key) {
                Some(pair) => self.set_in_pair(map, pair, rest, value)?,
                None => self.append_pair(map, key, &built(rest, value), map.span.end),
            },
            (Node::List(list), Step::Index(index)) => match list.element(*index) {
                Some(Item::Value { node, .. }) => {
                    let slot = match list.layout {
                        Layout::Flow => Slot::Flow,
                        _ => Slot::Item(tree::column_of(self.text, node.span().start)),
                    };
                    self.set_in_node(node, slot, rest, value)?;
                }
                Some(Item::Comment(_)) => return Err(EditError::IsComment),
                None => self.append_item(list, &built(rest, value)),
            },
            (Node::Leaf(_), _) => self.replace_node(node, slot, &built(steps, value)),
            (_, Step::Index(index)) => return Err(FindError::NotAList { index: *index }.into()),
            (_, Step::Key(key)) => return Err(FindError::NotAMap { key: key.clone() }.into()),
        }
        Ok(())
    }

    // ------------------------------------------------------------ replacing

    fn replace_node(&mut self, node: &Node, slot: Slot, value: &Tree) {
        if let (Node::Leaf(leaf), Tree::Leaf(value)) = (node, value) {
            return self.replace_leaf(leaf, value);
        }
        let (line, below) = pieces(&Content::from(value), slot, self.text);
        let mut span = node.span();
        if let Node::Leaf(Leaf { style: LeafStyle::Block(_), .. }) | Node::Map(_) | Node::List(_) = node {
            // The last line break of a block stays.
            span.end = span.start + self.text[span.start..span.end].trim_ascii_end().len();
        }
        let starts_below_key = self.text[..span.start].trim_ascii_end().ends_with(b":")
            && self.text[..span.start].trim_ascii_end().len() + 1 < span.start
            && self.text[..span.start]
                .rsplit(|&b| b == b'\n')
                .next()
                .is_some_and(|l| l.trim_ascii().is_empty());
        let mut text = SecretText::default();
        if line.is_empty() || starts_below_key {
            span.start = self.text[..span.start].trim_ascii_end().len();
        }
        let needs_blank = !line.is_empty() && !self.text[..span.start].ends_with(b" ");
        if needs_blank && !matches!(slot, Slot::Flow) {
            text.push_str(" ");
        }
        text.push(line.expose());
        self.replace(span, text);
        if !below.is_empty() {
            let line_end = end_of_line(self.text, span.end);
            let at = self.text[..line_end].trim_ascii_end().len().max(span.end);
            self.patch.replace(Span::at(at), below);
        }
    }

    /// Puts a scalar in the place of a scalar, in the quotes that stand there where they can hold it.
    fn replace_leaf(&mut self, leaf: &Leaf, value: &Plaintext) {
        self.place = leaf.span.start;
        let is_text = value.kind() == Kind::Str;
        let legacy_word = is_text && std::str::from_utf8(value.expose()).is_ok_and(scalar::is_legacy_word);
        match leaf.style {
            LeafStyle::Block(_) if is_text => spell::open(&mut self.patch, self.document, leaf, value),
            // Written as text, it has to stay text for readers of YAML 1.1 too.
            _ if legacy_word => {
                let text = std::str::from_utf8(value.expose()).expect("it is a word");
                spell::replace_scalar(
                    &mut self.patch,
                    self.text,
                    leaf,
                    scalar::double_quoted(text, scalar::Escape::Unreadable),
                );
            }
            LeafStyle::Plain | LeafStyle::Single | LeafStyle::Double if is_text => {
                spell::open(&mut self.patch, self.document, leaf, value);
            }
            _ => {
                let spelled = scalar::spell(value).expect("what is not text has a spelling");
                spell::replace_scalar(&mut self.patch, self.text, leaf, spelled);
            }
        }
    }

    // ------------------------------------------------------------ appending

    fn append_pair(&mut self, map: &Map, key: &str, value: &Tree, end: usize) {
        let mut entry = SecretText::default();
        match map.layout {
            Layout::Flow => {
                let last = map.pairs().filter(|pair| pair.key.name != METADATA_KEY).last();
                let at = match last {
                    Some(pair) => {
                        entry.push_str(", ");
                        emit::flow_pair(&mut entry, key, value);
                        pair.span.end
                    }
                    None => {
                        emit::flow_pair(&mut entry, key, value);
                        entry.push_str(if map.pairs().next().is_some() { ", " } else { "" });
                        map.span.start + 1
                    }
                };
                self.replace(Span::at(at), entry);
            }
            Layout::Block { column } => {
                let last = map.pairs().filter(|pair| pair.key.name != METADATA_KEY).last();
                let at = match (last, map.pairs().next()) {
                    (Some(pair), _) => self.behind_comments(map, pair),
                    (None, Some(metadata)) => start_of_line(self.text, metadata.span.start),
                    (None, None) => end,
                };
                emit::block_pair(&mut entry, key, value, column, self.style(), self.newline());
                self.insert_lines(at, entry);
            }
            Layout::Absent => {
                emit::block_pair(&mut entry, key, value, 0, self.style(), self.newline());
                self.insert_lines(end, entry);
            }
        }
    }

    /// The start of the line below `pair` and below the comments of its map, or in it, that follow it.
    fn behind_comments(&self, map: &Map, pair: &Pair) -> usize {
        let metadata = map.pair(METADATA_KEY).map_or(usize::MAX, |metadata| metadata.span.start);
        let comments = map.entries.iter().filter_map(|entry| match entry {
            Entry::Comment(comment) if !comment.unseen => Some(comment.span.end),
            _ => None,
        });
        let last = comments.filter(|&end| end < metadata).fold(pair.span.end, usize::max);
        end_of_line(self.text, last.max(end_with_comments(&pair.value)))
    }

    fn append_item(&mut self, list: &List, value: &Tree) {
        let mut entry = SecretText::default();
        let last = list.items.iter().rev().find_map(|item| match item {
            Item::Value { span, .. } => Some(span.end),
            Item::Comment(_) => None,
        });
        match list.layout {
            Layout::Block { column } => {
                emit::block_item(&mut entry, value, column, self.newline());
                self.insert_lines(end_of_line(self.text, end_of_list(list)), entry);
            }
            _ => {
                let at = match last {
                    Some(end) => {
                        entry.push_str(", ");
                        end
                    }
                    None => list.span.start + 1,
                };
                emit::flow_value(&mut entry, &Content::from(value));
                self.replace(Span::at(at), entry);
            }
        }
    }

    /// Puts whole lines at `at`, which is the start of a line or the end of a text without a last line break.
    fn insert_lines(&mut self, at: usize, mut lines: SecretText) {
        if at > 0 && !ends_line(&self.text[..at]) {
            let mut with_break = SecretText::from(self.newline());
            let without = lines.len() - self.newline().len();
            lines.truncate(without);
            with_break.push(lines.expose());
            lines = with_break;
        }
        self.replace(Span::at(at), lines);
    }

    // ------------------------------------------------------------ removing

    fn remove_pair(&mut self, map: &Map, at: usize) {
        let pairs: Vec<&Pair> = map.pairs().collect();
        let spans: Vec<Span> = pairs.iter().map(|pair| pair.span).collect();
        let is_root_with_metadata = map.pair(METADATA_KEY).is_some();
        self.remove(&spans, at, map.layout, "{}", is_root_with_metadata);
    }

    fn remove_item(&mut self, list: &List, at: usize, key_column: Option<usize>) {
        match &list.items[at] {
            Item::Value { span, .. } => {
                let spans: Vec<Span> = list
                    .items
                    .iter()
                    .filter_map(|item| match item {
                        Item::Value { span, .. } => Some(*span),
                        Item::Comment(_) => None,
                    })
                    .collect();
                let at = spans.iter().position(|other| other == span).expect("the element is one of them");
                // Dashes may stand in the column of the key, brackets may not.
                let is_below_key = key_column.is_some_and(|key| list.layout == Layout::Block { column: key });
                self.remove(&spans, at, list.layout, if is_below_key { " []" } else { "[]" }, false);
            }
            Item::Comment(comment) => {
                let start = comment.span.start - 1;
                let line =
                    Span::new(start_of_line(self.text, start), end_of_line(self.text, comment.span.end));
                let alone = self.text[line.start..start].trim_ascii().is_empty();
                self.patch.replace(if alone { line } else { Span::new(start, comment.span.end) }, "");
            }
        }
    }

    fn remove(&mut self, spans: &[Span], at: usize, layout: Layout, empty: &str, never_empty: bool) {
        let span = spans[at];
        let next = spans.get(at + 1);
        let previous = at.checked_sub(1).map(|before| spans[before]);
        if spans.len() == 1 && !never_empty {
            let end = span.start + self.text[span.start..span.end].trim_ascii_end().len();
            let place = if layout == Layout::Flow { span } else { Span::new(span.start, end) };
            let replacement = if layout == Layout::Flow { "" } else { empty };
            return self.patch.replace(place, replacement);
        }
        if layout == Layout::Flow {
            let place = match (next, previous) {
                (Some(next), _) => Span::new(span.start, next.start),
                (None, Some(previous)) => Span::new(previous.end, span.end),
                (None, None) => span,
            };
            return self.patch.replace(place, "");
        }
        let line_start = start_of_line(self.text, span.start);
        let alone_on_line = self.text[line_start..span.start].trim_ascii().is_empty();
        let place = match next {
            // The first entry behind a dash: the next one takes its place.
            Some(next) if !alone_on_line => Span::new(span.start, next.start),
            _ => Span::new(line_start, end_of_line(self.text, span.end)),
        };
        self.patch.replace(place, "");
    }
}

/// Where a node ends, counting the comments that follow it but belong to it.
fn end_with_comments(node: &Node) -> usize {
    let nested = match node {
        Node::Leaf(_) => None,
        Node::Map(map) => map
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Comment(comment) if comment.unseen => 0,
                Entry::Comment(comment) => comment.span.end,
                Entry::Pair(pair) => end_with_comments(&pair.value),
            })
            .max(),
        Node::List(list) => Some(end_of_list(list)),
    };
    node.span().end.max(nested.unwrap_or(0))
}

fn end_of_list(list: &List) -> usize {
    let ends = list.elements().map(|item| match item {
        Item::Comment(comment) => comment.span.end,
        Item::Value { node, span } => end_with_comments(node).max(span.end),
    });
    ends.fold(list.span.end, usize::max)
}
