//! Where a value stands: the map keys from the document's root, and what the cipher binds to them.

use std::fmt;

/// The map keys from the root to a leaf or comment. List indices are not part of it, as in sops.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct KeyPath {
    /// Every key followed by a colon: one buffer for all, since a walk comes by every key of a file.
    joined: String,
    /// Where in it each key ends.
    ends: Vec<usize>,
}

impl KeyPath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.ends.is_empty()
    }

    /// The keys, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| end + 1));
        starts.zip(&self.ends).map(|(start, &end)| &self.joined[start..end])
    }

    /// Goes down into `key`.
    pub fn push(&mut self, key: &str) {
        self.joined.push_str(key);
        self.ends.push(self.joined.len());
        self.joined.push(':');
    }

    /// Goes up by one key.
    pub fn pop(&mut self) {
        self.ends.pop();
        self.joined.truncate(self.ends.last().map_or(0, |end| end + 1));
    }

    /// The additional data that binds a value to this path.
    ///
    /// SOPS 3.13: every key followed by a colon, unescaped; `:` alone for the root, where only
    /// comments can stand.
    pub fn aad(&self) -> Aad {
        if self.is_root() { Aad(b":".to_vec()) } else { Aad(self.joined.as_bytes().to_vec()) }
    }
}

impl FromIterator<String> for KeyPath {
    fn from_iter<I: IntoIterator<Item = String>>(keys: I) -> Self {
        let mut path = Self::root();
        keys.into_iter().for_each(|key| path.push(&key));
        path
    }
}

impl fmt::Display for KeyPath {
    /// `["a"]["b"]`, as `--extract` and `set` take it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("(top level)");
        }
        self.components().try_for_each(|key| write!(f, "[{key:?}]"))
    }
}

/// Additional data of a value: authenticated with it, so that a value moved elsewhere does not open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aad(Vec<u8>);

impl Aad {
    /// Additional data that is not a path, such as the time stamp the MAC is bound to.
    pub fn of_text(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }

    /// The bytes given to the cipher.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One step of a [`TreePath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A map key.
    Key(String),
    /// A place in a list, from 0; comments count, as in sops.
    Index(usize),
}

/// A place as `--extract`, `set` and `unset` name it: `["a"][0]["b"]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreePath(Vec<Step>);

/// Why a text is not a [`TreePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreePathError {
    /// A component that is not closed.
    #[error("component {0:?} does not end in ']'")]
    Unclosed(String),
    /// A component that is neither quoted nor a whole number from 0.
    #[error("component [{0}] is neither a quoted key nor a list index")]
    NotAnIndex(String),
    /// `[]`, or a quote without its partner.
    #[error("component [{0}] is empty or misses a quote")]
    Empty(String),
}

impl TreePath {
    /// Reads `["a"][0]`.
    ///
    /// SOPS 3.13: the text is split at `[`; a piece in single or double quotes is a key, taken without
    /// unescaping; anything else is a list index.
    pub fn parse(text: &str) -> Result<Self, TreePathError> {
        text.split('[').filter(|piece| !piece.is_empty()).map(Step::parse).collect::<Result<_, _>>().map(Self)
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl Step {
    fn parse(piece: &str) -> Result<Self, TreePathError> {
        let inner = piece.strip_suffix(']').ok_or_else(|| TreePathError::Unclosed(piece.to_owned()))?;
        if inner.is_empty() {
            return Err(TreePathError::Empty(inner.to_owned()));
        }
        if let Some(rest) = inner.strip_prefix(['"', '\'']) {
            let mut key = rest.chars();
            return match key.next_back() {
                Some(_) => Ok(Step::Key(key.as_str().to_owned())),
                None => Err(TreePathError::Empty(inner.to_owned())),
            };
        }
        inner.parse().map(Step::Index).map_err(|_| TreePathError::NotAnIndex(inner.to_owned()))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Key(key) => write!(f, "[{key:?}]"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| step.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additional_data_is_every_key_and_a_colon() {
        let mut path = KeyPath::root();
        assert_eq!(path.aad().as_bytes(), b":");
        path.push("app");
        path.push("db:x");
        assert_eq!(path.aad().as_bytes(), b"app:db:x:");
    }

    #[test]
    fn a_path_gives_its_keys_back_whatever_is_in_them() {
        let keys = ["", "a:b", ":", "é", "c"];
        let mut path: KeyPath = keys.map(str::to_owned).into_iter().collect();
        assert_eq!(path.to_string(), r#"[""]["a:b"][":"]["é"]["c"]"#);
        assert_eq!(path.aad().as_bytes(), ":a:b:::é:c:".as_bytes());
        for len in (0..keys.len()).rev() {
            path.pop();
            assert_eq!(path.components().collect::<Vec<_>>(), keys[..len]);
        }
        assert!(path.is_root());
        assert_eq!(path, KeyPath::root());
    }

    #[test]
    fn tree_paths_read_keys_and_indices() {
        let path = TreePath::parse(r#"["a b"][2]['c]d']"#).unwrap();
        assert_eq!(path.steps(), [Step::Key("a b".into()), Step::Index(2), Step::Key("c]d".into())]);
        assert_eq!(TreePath::parse("").unwrap().steps(), []);
    }

    #[test]
    fn broken_tree_paths_are_refused() {
        for text in [r#"["a""#, "[-1]", "[x]", "[]", "a"] {
            assert!(TreePath::parse(text).is_err(), "{text}");
        }
    }
}
