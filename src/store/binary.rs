//! Files without a shape that matters: all their bytes are one value, sealed in an envelope of JSON.
//!
//! ```json
//! {"data": "ENC[AES256_GCM,…,type:str]", "sops": {…}}
//! ```

use super::json::Json;
use super::{Content, Edit, EditError, Format, Line, ParseError, PrintError, Store, Style};
use crate::document::{
    Branch, Document, Entry, Key, Layout, Leaf, LeafStyle, Map, MetadataKeys, Node, Pair, Patch, Tag,
};
use crate::key_path::TreePath;
use crate::secret::{SecretBytes, SecretText};
use crate::span::Span;
use crate::value::{Kind, Plaintext, Tree};

/// The binary store.
pub struct Binary;

/// The key that the bytes stand under.
pub const DATA_KEY: &str = "data";

/// Marks the one leaf of a plain file: its text is its value, whatever bytes that are.
const BYTES_TAG: &str = "!!binary";

impl Store for Binary {
    fn format(&self) -> Format {
        Format::Binary
    }

    /// Reads a sealed file: the envelope.
    fn parse(&self, text: SecretText) -> Result<Document, ParseError> {
        Json.parse(text)
    }

    fn parse_plain(&self, text: SecretText) -> Result<Document, ParseError> {
        let span = Span::new(0, text.len());
        let leaf = Leaf {
            span,
            style: LeafStyle::Plain,
            in_flow: true,
            tag: Some(Box::new(Tag { name: BYTES_TAG.into(), span: Span::at(0) })),
            parent_indent: -1,
            in_list: false,
            sealed_comment: false,
            ends_empty_list: false,
        };
        let key = Key { name: DATA_KEY.to_owned(), span: Span::at(0), is_text: true };
        let pair = Pair { key, value: Node::Leaf(leaf), span };
        let root = Map { entries: vec![Entry::Pair(pair)], span, layout: Layout::Flow };
        let branch = Branch { root, end: span.end, metadata_keys: MetadataKeys::Entry };
        Ok(Document { text, branches: vec![branch], aliases_expanded: false, comment_texts: Vec::new() })
    }

    fn envelope(&self) -> Option<&'static dyn Store> {
        Some(&Json)
    }

    fn keeps_all_kinds(&self) -> bool {
        false
    }

    fn read(&self, document: &Document, leaf: &Leaf) -> Result<Option<Plaintext>, ParseError> {
        match leaf.tag_name() {
            Some(BYTES_TAG) => {
                let bytes = SecretBytes::copy_of(leaf.span.of(document.bytes()));
                Ok(Some(Plaintext::new(Kind::Str, bytes)))
            }
            _ => Json.read(document, leaf),
        }
    }

    fn written(&self, document: &Document, leaf: &Leaf) -> Option<Span> {
        if leaf.tag.is_some() { None } else { Json.written(document, leaf) }
    }

    fn seal_leaf(
        &self,
        patch: &mut Patch,
        document: &Document,
        leaf: &Leaf,
        value: &Plaintext,
        sealed: &str,
    ) {
        Json.seal_leaf(patch, document, leaf, value, sealed);
    }

    fn open_leaf(&self, patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext) {
        Json.open_leaf(patch, document, leaf, value);
    }

    fn check(&self, value: &Plaintext) -> Result<(), PrintError> {
        Json.check(value)
    }

    fn metadata(&self, document: &Document) -> Result<Option<Tree>, ParseError> {
        Json.metadata(document)
    }

    fn write_metadata(&self, document: &Document, metadata: &Tree, style: Style) -> Patch {
        Json.write_metadata(document, metadata, style)
    }

    fn update_metadata(&self, document: &Document, fields: &[(&str, &str)]) -> Option<Patch> {
        Json.update_metadata(document, fields)
    }

    fn remove_metadata(&self, document: &Document) -> Patch {
        Json.remove_metadata(document)
    }

    fn set(&self, document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
        Json.set(document, path, value)
    }

    fn unset(&self, document: &Document, path: &TreePath) -> Result<Patch, EditError> {
        Json.unset(document, path)
    }

    /// The bytes, with nothing added.
    ///
    /// SOPS 3.13: there must be one document, with a text under the key `data`; other keys do not count.
    fn print_file(&self, roots: &[Vec<Line<'_>>], _style: Style) -> Result<SecretText, PrintError> {
        let refused = |problem: &str| Err(PrintError { format: "binary", problem: problem.to_owned() });
        let [lines] = roots else { return refused("there must be exactly one document") };
        let data = lines.iter().find_map(|line| match line {
            Line::Pair(key, value) if key == DATA_KEY => Some(value),
            _ => None,
        });
        match data.map(Content::value) {
            Some(Some(value)) if value.kind() == Kind::Str => Ok(SecretText::copy_of(value.expose())),
            Some(_) => refused("what stands under the key 'data' is no text"),
            None => refused(
                "no binary data found in tree, which is what would stand under the key 'data': say what the output is \
                 with --output-type",
            ),
        }
    }

    fn print_value(&self, _value: &Content<'_>) -> Result<SecretText, PrintError> {
        let problem = "a single value that is no text: say what the output is with --output-type".to_owned();
        Err(PrintError { format: "binary", problem })
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }
}

/// SOPS 3.13: what `edit` offers for a file that does not exist yet.
const EXAMPLE: &str = "Welcome to SOPS! Edit this file as you please!";
