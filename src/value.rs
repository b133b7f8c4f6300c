//! Values as the cipher and the MAC see them.
//!
//! A store maps the spelling in a file (`0x10`, `True`, `'x'`) to a [`Plaintext`] with *canonical* bytes
//! (`16`, `True`, `x`) and back. Nothing else knows about spellings, so the type quirks of the sops
//! format live in one place.

use crate::secret::SecretBytes;

/// The type of a value, as it is written in `ENC[…,type:…]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text.
    Str,
    /// A 64-bit integer.
    Int,
    /// A 64-bit float.
    Float,
    /// A boolean, `True` or `False`.
    Bool,
    /// Raw bytes; read from old files, never written.
    Bytes,
    /// A timestamp in RFC 3339.
    Time,
    /// A comment, without its `#`.
    Comment,
}

impl Kind {
    /// The name in `type:`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Str => "str",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Bool => "bool",
            Kind::Bytes => "bytes",
            Kind::Time => "time",
            Kind::Comment => "comment",
        }
    }

    /// The kind with this name in `type:`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "str" => Kind::Str,
            "int" => Kind::Int,
            "float" => Kind::Float,
            "bool" => Kind::Bool,
            "bytes" => Kind::Bytes,
            "time" => Kind::Time,
            "comment" => Kind::Comment,
            _ => return None,
        })
    }
}

/// One value: its kind and its canonical bytes.
#[derive(PartialEq, Eq)]
pub struct Plaintext {
    kind: Kind,
    bytes: SecretBytes,
}

impl Plaintext {
    /// A value of `kind` whose canonical form is `bytes`.
    pub fn new(kind: Kind, bytes: SecretBytes) -> Self {
        Self { kind, bytes }
    }

    /// A text value.
    pub fn text(text: &str) -> Self {
        Self::new(Kind::Str, SecretBytes::copy_of(text.as_bytes()))
    }

    /// The type of the value.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The canonical bytes: what the cipher seals and the MAC hashes.
    pub fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }

    /// Wipes the value now, for an owner who is not going to be dropped.
    pub(crate) fn wipe(&mut self) {
        self.bytes.wipe();
    }

    /// Whether the value is empty. The sops format leaves such values as they are.
    pub fn is_empty(&self) -> bool {
        self.bytes.expose().is_empty()
    }
}

/// A value with structure but without a place in a text: what `set` puts in, what the metadata block holds.
pub enum Tree {
    /// `null`.
    Null,
    /// A scalar.
    Leaf(Plaintext),
    /// A list.
    List(Vec<Tree>),
    /// A map, in order.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// A text leaf.
    pub fn text(text: &str) -> Self {
        Tree::Leaf(Plaintext::text(text))
    }

    /// A second one with the same content.
    pub fn copy(&self) -> Self {
        match self {
            Tree::Null => Tree::Null,
            Tree::Leaf(value) => {
                Tree::Leaf(Plaintext::new(value.kind(), SecretBytes::copy_of(value.expose())))
            }
            Tree::List(items) => Tree::List(items.iter().map(Tree::copy).collect()),
            Tree::Map(pairs) => {
                Tree::Map(pairs.iter().map(|(key, value)| (key.clone(), value.copy())).collect())
            }
        }
    }

    /// The value under `key`, when this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Tree> {
        match self {
            Tree::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }
}
