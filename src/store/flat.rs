//! Metadata in formats without maps and lists: one text a leaf, under a key that spells out its path.
//!
//! SOPS 3.13: a step into a map is `__map_` and the key, a step into a list `__list_` and the index; the first step
//! is the bare key (`age__list_0__map_enc`). Nothing is escaped. Empty maps and lists leave no trace.

use std::collections::BTreeMap;

use crate::value::{Tree, as_text};

const MAP: &str = "__map_";
const LIST: &str = "__list_";

/// Deeper than any metadata: whatever is nested deeper is not read.
const MAX_DEPTH: usize = 32;

/// Why flat keys do not make a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FlatError {
    /// The same key twice.
    #[error("the metadata field {0} is there twice")]
    Duplicate(String),
    /// A key that is a text as well as a map, or a map as well as a list.
    #[error("the metadata field {0} is used as two of a text, a map and a list")]
    Mixed(String),
    /// A list with gaps.
    #[error("the list {0} of the metadata is not complete")]
    Incomplete(String),
    /// More steps than any metadata has.
    #[error("the metadata field {0} is nested too deeply")]
    TooDeep(String),
}

/// The leaves of a tree in order, each under the key that spells out its path.
pub(super) fn flatten(tree: &Tree) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    if let Tree::Map(pairs) = tree {
        pairs.iter().for_each(|(key, value)| flatten_below(key.clone(), value, &mut entries));
    }
    entries
}

fn flatten_below(path: String, tree: &Tree, entries: &mut Vec<(String, String)>) {
    match tree {
        Tree::Map(pairs) => {
            pairs.iter().for_each(|(key, value)| flatten_below(format!("{path}{MAP}{key}"), value, entries));
        }
        Tree::List(items) => {
            let numbered = items.iter().enumerate();
            numbered.for_each(|(at, item)| flatten_below(format!("{path}{LIST}{at}"), item, entries));
        }
        Tree::Null => entries.push((path, text_of(None))),
        Tree::Leaf(value) => entries.push((path, text_of(Some(value)))),
    }
}

fn text_of(value: Option<&crate::value::Plaintext>) -> String {
    String::from_utf8_lossy(as_text(value).expose()).into_owned()
}

/// The tree that flat keys stand for; its maps are in the order of their keys.
pub(super) fn unflatten(entries: impl IntoIterator<Item = (String, String)>) -> Result<Tree, FlatError> {
    let mut root = Node::default();
    for (key, value) in entries {
        let mut node = &mut root;
        let steps = steps(&key);
        if steps.len() > MAX_DEPTH {
            return Err(FlatError::TooDeep(key));
        }
        for step in steps {
            node = match step {
                Step::Key(key) => node.keys.entry(key.to_owned()).or_default(),
                Step::Index(index) => node.items.entry(index).or_default(),
            };
        }
        if node.value.replace(value).is_some() {
            return Err(FlatError::Duplicate(key));
        }
    }
    root.into_tree("")
}

enum Step<'k> {
    Key(&'k str),
    Index(i64),
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    let mut in_list = false;
    loop {
        let next = [rest.find(MAP), rest.find(LIST)];
        let end = next.iter().flatten().min().copied();
        let word = &rest[..end.unwrap_or(rest.len())];
        steps.push(match in_list {
            true => Step::Index(index(word)),
            false => Step::Key(word),
        });
        let Some(end) = end else { return steps };
        in_list = next[1] == Some(end);
        rest = &rest[end + if in_list { LIST.len() } else { MAP.len() }..];
    }
}

/// sops: what is no number counts as 0, what is too large as the largest.
fn index(word: &str) -> i64 {
    use std::num::IntErrorKind;
    word.parse().unwrap_or_else(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => i64::MAX,
        IntErrorKind::NegOverflow => i64::MIN,
        _ => 0,
    })
}

#[derive(Default)]
struct Node {
    value: Option<String>,
    keys: BTreeMap<String, Node>,
    items: BTreeMap<i64, Node>,
}

impl Node {
    fn into_tree(self, path: &str) -> Result<Tree, FlatError> {
        let Self { value, keys, items } = self;
        match (value, keys.is_empty(), items.is_empty()) {
            (Some(value), true, true) => Ok(Tree::text(&value)),
            (None, _, true) => {
                let below =
                    |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                let pairs = keys.into_iter().map(|(key, node)| {
                    let value = node.into_tree(&below(&key))?;
                    Ok((key, value))
                });
                pairs.collect::<Result<_, _>>().map(Tree::Map)
            }
            (None, true, false) => {
                if !items.keys().copied().eq(0..items.len() as i64) {
                    return Err(FlatError::Incomplete(path.to_owned()));
                }
                let items = items.into_iter().map(|(at, node)| node.into_tree(&format!("{path}[{at}]")));
                items.collect::<Result<_, _>>().map(Tree::List)
            }
            _ => Err(FlatError::Mixed(path.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::{lines, yaml};

    fn entries(lines: &[&str]) -> Vec<(String, String)> {
        let pair = |line: &&str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        lines.iter().filter_map(pair).collect()
    }

    const FLAT: [&str; 5] = [
        "age__list_0__map_enc=two\nlines",
        "age__list_0__map_recipient=age1",
        "key_groups__list_0__map_kms__list_0__map_context__map_env=x",
        "mac_only_encrypted=true",
        "shamir_threshold=2",
    ];

    #[test]
    fn leaves_stand_under_their_paths_and_come_back_as_text() {
        let tree = yaml(
            "age: [{enc: \"two\\nlines\", recipient: age1}]\nkey_groups: [{kms: [{context: {env: x}}], pgp: []}]\n\
             mac_only_encrypted: true\nshamir_threshold: 2\n",
        );
        assert_eq!(flatten(&tree), entries(&FLAT));
        let back = unflatten(entries(&FLAT)).unwrap();
        let texts = yaml(
            "age: [{enc: \"two\\nlines\", recipient: age1}]\nkey_groups: [{kms: [{context: {env: x}}]}]\n\
             mac_only_encrypted: 'true'\nshamir_threshold: '2'\n",
        );
        assert_eq!(lines(&back), lines(&texts));
    }

    #[test]
    fn keys_that_make_no_tree_are_refused() {
        let error = |lines: &[&str]| unflatten(entries(lines)).err().unwrap();
        assert_eq!(error(&["a=1", "a=2"]), FlatError::Duplicate("a".to_owned()));
        assert_eq!(error(&["a=1", "a__map_b=2"]), FlatError::Mixed("a".to_owned()));
        assert_eq!(error(&["a__map_b=1", "a__list_0=2"]), FlatError::Mixed("a".to_owned()));
        assert_eq!(error(&["a__map_b__list_1=1"]), FlatError::Incomplete("a.b".to_owned()));
        assert_eq!(error(&["a__list_-1=1"]), FlatError::Incomplete("a".to_owned()));
        assert_eq!(error(&["a__list_99999999999999999999=1"]), FlatError::Incomplete("a".to_owned()));
        let deep = format!("a{}=1", "__map_b".repeat(100_000));
        assert!(matches!(error(&[&deep]), FlatError::TooDeep(_)));
        assert!(unflatten(entries(&["a__list_x=1"])).is_ok(), "sops: a word that is no number is index 0");
    }
}
