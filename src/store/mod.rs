//! Text formats: from text to [`Document`] and back, touching only what must change.

pub mod binary;
mod content;
pub mod dotenv;
mod flat;
pub mod ini;
pub mod json;
pub mod toml;
pub mod yaml;

pub use content::{Content, Element, Line, Remark};

use crate::document::{Comment, Document, Leaf, Patch};
use crate::key_path::TreePath;
use crate::secret::SecretText;
use crate::span::{Position, Span};
use crate::value::{Plaintext, Tree};

/// One text format.
///
/// Parsing never copies a value; every other method gives replacements for places in the text and leaves the
/// rest of the file alone.
pub trait Store: Sync {
    /// The format this store reads and writes.
    fn format(&self) -> Format;

    /// Reads the text of a file.
    fn parse(&self, text: SecretText) -> Result<Document, ParseError>;

    /// Reads the text of a plain file, where that has another form than a sealed one.
    fn parse_plain(&self, text: SecretText) -> Result<Document, ParseError> {
        self.parse(text)
    }

    /// The store of the text that a sealed file is, where a plain file is bytes of no shape: they are the one value
    /// [`binary::DATA_KEY`] in it.
    fn envelope(&self) -> Option<&'static dyn Store> {
        None
    }

    /// Whether the text of an open file tells the kind of every value: else dates and comments, which only a
    /// conversion from another format brings, are taken from what was sealed when the file is printed in a third.
    fn keeps_all_kinds(&self) -> bool {
        true
    }

    /// The value of a leaf; `None` is null.
    fn read(&self, document: &Document, leaf: &Leaf) -> Result<Option<Plaintext>, ParseError>;

    /// Where the text of a leaf stands, without quotes, when it is in one piece and has no tag.
    ///
    /// Escapes and line breaks are not looked for: the text is the value only if it holds none of them.
    fn written(&self, document: &Document, leaf: &Leaf) -> Option<Span>;

    /// Puts the sealed form of `value` in the place of `leaf`.
    ///
    /// The way `leaf` is written now is remembered in the quotes around the sealed text where the format allows it.
    fn seal_leaf(&self, patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext, sealed: &str);

    /// Puts `value` in the place of its sealed form.
    fn open_leaf(&self, patch: &mut Patch, document: &Document, leaf: &Leaf, value: &Plaintext);

    /// How `leaf` is written, when that is not how [`Store::open_leaf`] would write `value`.
    ///
    /// The sealed text carries it, sealed too, where a format has no other place for it.
    fn odd_spelling(&self, document: &Document, leaf: &Leaf, value: &Plaintext) -> Option<SecretText> {
        let _ = (document, leaf, value);
        None
    }

    /// Whether `spelling`, which came from [`Store::odd_spelling`], is one of `value`.
    fn spells(&self, spelling: &[u8], value: &Plaintext) -> bool {
        let _ = (spelling, value);
        false
    }

    /// Whether the format can hold `value` in the place of its sealed form.
    fn check(&self, value: &Plaintext) -> Result<(), PrintError> {
        let _ = value;
        Ok(())
    }

    /// Whether a comment of this format can have this text.
    fn holds_comment(&self, text: &[u8]) -> bool {
        !text.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
    }

    /// Puts the sealed form of a comment in its place.
    fn seal_comment(&self, patch: &mut Patch, _document: &Document, comment: &Comment, sealed: &str) {
        patch.replace(comment.span, sealed);
    }

    /// Puts the text of a comment, which the format can hold, in the place of its sealed form.
    fn open_comment(&self, patch: &mut Patch, _document: &Document, comment: &Comment, text: &[u8]) {
        patch.replace(comment.span, SecretText::copy_of(text));
    }

    /// `value` as it can stand at `path` in this format, which may know fewer kinds of values.
    fn adapted(&self, _path: &TreePath, value: &Tree) -> Result<Tree, PrintError> {
        Ok(value.copy())
    }

    /// The metadata of the first document as a tree.
    fn metadata(&self, document: &Document) -> Result<Option<Tree>, ParseError>;

    /// Replacements that write `metadata` as the last entry of every document, or over the one that is there.
    fn write_metadata(&self, document: &Document, metadata: &Tree, style: Style) -> Patch;

    /// Replacements that change single text fields of the metadata in every document; `None` when one is missing.
    fn update_metadata(&self, document: &Document, fields: &[(&str, &str)]) -> Option<Patch>;

    /// Replacements that take the metadata out of every document.
    fn remove_metadata(&self, document: &Document) -> Patch;

    /// Replacements that set what `path` names to `value`, making what is missing.
    fn set(&self, document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError>;

    /// Replacements that remove what `path` names.
    fn unset(&self, document: &Document, path: &TreePath) -> Result<Patch, EditError>;

    /// A file of its own in the format's normal form, one document for each root.
    fn print_file(&self, roots: &[Vec<Line<'_>>], style: Style) -> Result<SecretText, PrintError>;

    /// A single value on its own, as `--extract` prints what is neither a map nor text.
    fn print_value(&self, value: &Content<'_>) -> Result<SecretText, PrintError>;

    /// As [`Store::print_value`], in the layout that was asked for where the format has several.
    fn print_value_in(&self, value: &Content<'_>, style: Style) -> Result<SecretText, PrintError> {
        let _ = style;
        self.print_value(value)
    }

    /// A file for a user to start from.
    fn example(&self) -> &'static str;
}

/// How new text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns per level, where a level is not a tab.
    pub indent: usize,
    /// Whether a level is one tab; YAML has no tabs.
    pub tabs: bool,
}

/// Why a format cannot hold a value: what the value is and where it stands, never the value itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{format} cannot hold this: {problem}")]
pub struct PrintError {
    /// The name of the format.
    pub format: &'static str,
    /// What it cannot hold.
    pub problem: String,
}

/// What `set` changes.
pub struct Edit {
    /// The replacements.
    pub patch: Patch,
    /// Where, in the text before the change, the replacement stands that holds the new value.
    pub place: usize,
}

/// Why `set` or `unset` cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The path does not fit the file.
    #[error(transparent)]
    Find(#[from] crate::document::FindError),
    /// The path is empty.
    #[error("the path names the whole file")]
    WholeFile,
    /// The path names a comment.
    #[error("the path names a comment, not a value")]
    IsComment,
    /// A path that starts with a list index.
    #[error("the top level is a map; the path must start with a key")]
    RootIsMap,
    /// The change would not be read back as it was meant, or would change more than that.
    #[error("the file is laid out so that the change does not fit in; lay it out in another way first")]
    NoRoom,
    /// The new value stands where the file cannot hold it.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Why a text cannot be read: what is wrong and where, never the text itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {problem}")]
pub struct ParseError {
    /// What is wrong.
    pub problem: String,
    /// Where.
    pub position: Position,
    /// Whether the text holds no document at all.
    pub empty: bool,
}

impl ParseError {
    /// A problem at byte `offset` of `text`.
    pub fn at(text: &[u8], offset: usize, problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), position: Position::of(text, offset), empty: false }
    }
}

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// dotenv.
    Dotenv,
    /// INI.
    Ini,
    /// TOML, which sops does not know.
    Toml,
    /// Anything else, as one value.
    Binary,
}

impl Format {
    /// Every format, with its name in `--input-type` and the endings of its files.
    ///
    /// SOPS 3.13: the endings are compared with the end of the path, in lower case only; `.env` is a whole name too.
    pub const ALL: [(Format, &'static str, &'static [&'static str]); 6] = [
        (Format::Yaml, "yaml", &[".yaml", ".yml"]),
        (Format::Json, "json", &[".json"]),
        (Format::Dotenv, "dotenv", &[".env"]),
        (Format::Ini, "ini", &[".ini"]),
        (Format::Toml, "toml", &[".toml"]),
        (Format::Binary, "binary", &[]),
    ];

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(format, ..)| *format)
    }

    /// The format that `path` ends like; binary when it ends like none.
    pub fn of_path(path: &std::path::Path) -> Self {
        let path = path.to_string_lossy();
        let fits = |endings: &[&str]| endings.iter().any(|ending| path.ends_with(ending));
        Self::ALL.iter().find(|(_, _, endings)| fits(endings)).map_or(Format::Binary, |(format, ..)| *format)
    }

    /// Whether sops knows this format; for its stand-in, a file of another one is binary.
    pub fn is_known_to_sops(self) -> bool {
        self != Format::Toml
    }

    /// The name in `--input-type`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(format, ..)| *format == self).expect("every format has its row").1
    }

    /// The store that reads and writes this format.
    pub fn store(self) -> &'static dyn Store {
        match self {
            Format::Yaml => &yaml::Yaml,
            Format::Json => &json::Json,
            Format::Dotenv => &dotenv::Dotenv,
            Format::Ini => &ini::Ini,
            Format::Toml => &toml::Toml,
            Format::Binary => &binary::Binary,
        }
    }
}
