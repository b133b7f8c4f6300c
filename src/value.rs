//! Values as the cipher and the MAC see them.
//!
//! A store maps the spelling in a file (`0x10`, `True`, `'x'`) to a [`Plaintext`] with *canonical* bytes
//! (`16`, `True`, `x`) and back. Nothing else knows about spellings, so the type quirks of the sops
//! format live in one place.

use crate::secret::{SecretBytes, SecretText};

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

    /// The canonical bytes alone.
    pub fn into_bytes(self) -> SecretBytes {
        self.bytes
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

/// A value as text, for what knows nothing but text: dotenv, INI and environment variables. `None` is null.
///
/// SOPS 3.13: a boolean is `true` or `false`; a float has a point or an exponent, so that it cannot be taken for an
/// integer; a time has no fractions of a second; null is `<nil>`.
pub fn as_text(value: Option<&Plaintext>) -> SecretText {
    let Some(value) = value else { return SecretText::copy_of(b"<nil>") };
    let bytes = value.expose();
    match (value.kind(), std::str::from_utf8(bytes)) {
        (Kind::Bool, Ok(text)) => SecretText::new(text.to_ascii_lowercase().into_bytes()),
        (Kind::Float, Ok(text)) => match text.parse() {
            Ok(number) => SecretText::new(float_text(number).into_bytes()),
            Err(_) => SecretText::copy_of(bytes),
        },
        (Kind::Time, Ok(text)) => {
            let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
            let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            SecretText::new([seconds, zone].concat().into_bytes())
        }
        _ => SecretText::copy_of(bytes),
    }
}

/// A float as Go's `%G` with all its digits, and with one decimal where that has neither point nor exponent.
fn float_text(number: f64) -> String {
    if number.is_nan() || number.is_infinite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let shortest = format!("{number:e}");
    let (digits, exponent) = shortest.split_once('e').expect("this form has an exponent");
    let exponent: i32 = exponent.parse().expect("it is a number");
    match exponent {
        -4..=5 if number.fract() == 0.0 => format!("{number:.1}"),
        -4..=5 => number.to_string(),
        _ => format!("{digits}E{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_the_text_that_sops_makes_of_them() {
        for (kind, canonical, expected) in [
            (Kind::Float, "1", "1.0"),
            (Kind::Float, "-0", "-0.0"),
            (Kind::Float, "200000", "200000.0"),
            (Kind::Float, "1000000", "1E+06"),
            (Kind::Float, "1234567.5", "1.2345675E+06"),
            (Kind::Float, "-20000000000", "-2E+10"),
            (Kind::Float, "0.0001", "0.0001"),
            (Kind::Float, "0.00001", "1E-05"),
            (Kind::Float, "1.2345e-100", "1.2345E-100"),
            (Kind::Float, "+Inf", "+Inf"),
            (Kind::Float, "NaN", "NaN"),
            (Kind::Bool, "True", "true"),
            (Kind::Int, "-12", "-12"),
            (Kind::Time, "2006-01-02T15:04:05.123+07:06", "2006-01-02T15:04:05+07:06"),
            (Kind::Time, "2006-01-02T15:04:05.5Z", "2006-01-02T15:04:05Z"),
            (Kind::Str, "a.b", "a.b"),
        ] {
            let value = Plaintext::new(kind, SecretBytes::copy_of(canonical.as_bytes()));
            let text = as_text(Some(&value));
            assert_eq!(String::from_utf8_lossy(text.expose()), expected);
        }
        assert_eq!(as_text(None).expose(), b"<nil>");
    }
}
