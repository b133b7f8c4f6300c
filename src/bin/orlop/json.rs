//! A JSON value read into a tree whose texts wipe themselves: what `set` puts into a file.

use std::fmt;

use orlop::{Kind, Plaintext, SecretBytes, SecretText, Tree};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Why a text is not one JSON value. Its messages tell the place, never the text.
pub(crate) type JsonError = serde_json::Error;

/// Reads one JSON value, with blanks around it.
///
/// Whole numbers stay whole as far as 64 bits go, all else are floats. sops: every number that is set is a float,
/// and a reader that expects a port finds `8080.0` in other formats.
pub(crate) fn parse(text: &SecretText) -> Result<Tree, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(text.expose());
    let JsonTree(tree) = JsonTree::deserialize(&mut reader)?;
    reader.end()?;
    Ok(tree)
}

struct JsonTree(Tree);

impl<'de> Deserialize<'de> for JsonTree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(JsonTree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(leaf(Kind::Bool, if value { b"True" } else { b"False" }))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(leaf(Kind::Int, value.to_string().as_bytes()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        // The canonical form has no exponent; neither has Rust's.
        Ok(leaf(Kind::Float, value.to_string().as_bytes()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(JsonTree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map: Vec<(String, Tree)> = Vec::new();
        while let Some((key, JsonTree(value))) = entries.next_entry::<String, JsonTree>()? {
            if map.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format_args!("the key {key:?} occurs twice")));
            }
            map.push((key, value));
        }
        Ok(Tree::Map(map))
    }
}

fn leaf(kind: Kind, canonical: &[u8]) -> Tree {
    Tree::Leaf(Plaintext::new(kind, SecretBytes::copy_of(canonical)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tree: &Tree) -> String {
        match tree {
            Tree::Null => "null".to_owned(),
            Tree::Leaf(value) => {
                format!("{}:{}", value.kind().name(), String::from_utf8_lossy(value.expose()))
            }
            Tree::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Tree::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{key}={}", shown(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    fn read(text: &str) -> Result<String, JsonError> {
        parse(&SecretText::copy_of(text.as_bytes())).map(|tree| shown(&tree))
    }

    #[test]
    fn every_kind_of_value_has_its_canonical_form() {
        for (text, expected) in [
            ("null", "null"),
            (" true\n", "bool:True"),
            ("false", "bool:False"),
            ("2", "int:2"),
            ("-7", "int:-7"),
            ("9223372036854775807", "int:9223372036854775807"),
            ("9223372036854775808", "float:9223372036854776000"),
            ("1.50", "float:1.5"),
            ("2.0", "float:2"),
            ("1e3", "float:1000"),
            ("1e21", "float:1000000000000000000000"),
            ("1.5e-7", "float:0.00000015"),
            (r#""""#, "str:"),
            (r#""a\n\u00e9""#, "str:a\né"),
            (r#"{"b": [1, "x"], "a": {}}"#, "{b=[int:1 str:x] a={}}"),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused_without_repeating_it() {
        for text in
            ["", "secret", "'secret'", r#""secret" 2"#, r#"{"a": secret}"#, r#"["secret""#, "01", "+1"]
        {
            let error = read(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(read(r#"{"a": 1, "a": 2}"#).is_err());
    }
}
