//! dotenv as sops reads it: a line is a key and a value, or a comment.
//!
//! SOPS 3.13: there are no quotes, no `export` and no comments behind values. The key is all that stands before the
//! first `=`, the value all behind it up to the line feed, carriage return included; `\n` in a value is a line feed.
//! Only empty lines are dropped.

use super::flat::{flatten, unflatten};
use super::{Content, Edit, EditError, Format, Line, ParseError, PrintError, Store, Style};
use crate::document::{
    Branch, Comment, CommentPart, Document, Entry, FindError, Key, Layout, Leaf, LeafStyle, METADATA_PREFIX,
    Map, MetadataKeys, Node, Pair, Patch,
};
use crate::key_path::{Step, TreePath};
use crate::secret::{SecretBytes, SecretText};
use crate::span::Span;
use crate::value::{Kind, Plaintext, Tree, as_text};

/// The dotenv store.
pub struct Dotenv;

impl Store for Dotenv {
    fn format(&self) -> Format {
        Format::Dotenv
    }

    fn parse(&self, text: SecretText) -> Result<Document, ParseError> {
        parse(text)
    }

    fn read(&self, document: &Document, leaf: &Leaf) -> Result<Option<Plaintext>, ParseError> {
        Ok(Some(Plaintext::new(Kind::Str, unescaped(leaf.span.of(document.bytes())))))
    }

    fn written(&self, _document: &Document, leaf: &Leaf) -> Option<Span> {
        Some(leaf.span)
    }

    fn seal_leaf(&self, patch: &mut Patch, _document: &Document, leaf: &Leaf, _: &Plaintext, sealed: &str) {
        patch.replace(leaf.span, sealed);
    }

    fn open_leaf(&self, patch: &mut Patch, _document: &Document, leaf: &Leaf, value: &Plaintext) {
        patch.replace(leaf.span, escaped(Some(value)));
    }

    fn holds_comment(&self, text: &[u8]) -> bool {
        !text.contains(&b'\n')
    }

    fn adapted(&self, path: &TreePath, value: &Tree) -> Result<Tree, PrintError> {
        let refused = |problem: String| PrintError { format: "dotenv", problem };
        match (value, path.steps()) {
            (Tree::Leaf(value), [Step::Key(key)]) => {
                check_key(key)?;
                let text = as_text(Some(value));
                if text.expose().windows(2).any(|pair| pair == b"\\n") {
                    let problem =
                        format!("a backslash with an n behind it, in the value of {key:?}, is a line feed");
                    return Err(refused(problem));
                }
                Ok(Tree::Leaf(Plaintext::new(Kind::Str, SecretBytes::copy_of(text.expose()))))
            }
            (Tree::Null, [Step::Key(key)]) => {
                Err(refused(format!("there is no null in dotenv; set {key:?} to an empty text, or unset it")))
            }
            (_, [Step::Key(key), ..]) => Err(complex(key)),
            (_, [] | [Step::Index(_), ..]) => Ok(value.copy()),
        }
    }

    fn metadata(&self, document: &Document) -> Result<Option<Tree>, ParseError> {
        let Some(branch) = document.branches.first() else { return Ok(None) };
        let Some(first) = branch.metadata() else { return Ok(None) };
        let fields = branch.root.pairs().filter_map(|pair| {
            let name = pair.key.name.strip_prefix(METADATA_PREFIX)?;
            let value = unescaped(pair.value.span().of(document.bytes()));
            Some((name.to_owned(), String::from_utf8_lossy(value.expose()).into_owned()))
        });
        let tree = unflatten(fields);
        tree.map(Some).map_err(|error| ParseError::at(document.bytes(), first.span.start, error.to_string()))
    }

    fn write_metadata(&self, document: &Document, metadata: &Tree, _style: Style) -> Patch {
        let mut patch = Patch::new();
        let mut lines = metadata_lines(metadata);
        for branch in &document.branches {
            let text = document.bytes();
            let blocks = metadata_blocks(text, branch);
            match blocks.split_first() {
                Some((first, others)) => {
                    others.iter().for_each(|block| patch.replace(*block, ""));
                    let is_last = blocks.last().is_some_and(|last| last.end == text.len());
                    if is_last && !text.ends_with(b"\n") {
                        lines.truncate(lines.len() - 1);
                    }
                    patch.replace(*first, SecretText::copy_of(lines.expose()));
                }
                None => {
                    let mut block = SecretText::default();
                    if !text.is_empty() && !text.ends_with(b"\n") {
                        // A text without a last line feed gets none: that is how opening it again knows.
                        block.push_str("\n");
                        lines.truncate(lines.len() - 1);
                    }
                    block.push(lines.expose());
                    patch.replace(Span::at(text.len()), block);
                }
            }
        }
        patch
    }

    fn update_metadata(&self, document: &Document, fields: &[(&str, &str)]) -> Option<Patch> {
        let mut patch = Patch::new();
        for branch in &document.branches {
            for (name, value) in fields {
                let Node::Leaf(leaf) = &branch.root.pair(&format!("{METADATA_PREFIX}{name}"))?.value else {
                    return None;
                };
                patch.replace(leaf.span, *value);
            }
        }
        Some(patch)
    }

    fn remove_metadata(&self, document: &Document) -> Patch {
        let mut patch = Patch::new();
        let text = document.bytes();
        for block in document.branches.iter().flat_map(|branch| metadata_blocks(text, branch)) {
            let is_open = block.end == text.len() && !text.ends_with(b"\n");
            let start = if is_open { block.start.saturating_sub(1) } else { block.start };
            patch.replace(Span::new(start, block.end), "");
        }
        patch
    }

    fn set(&self, document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
        set(document, path, value)
    }

    fn unset(&self, document: &Document, path: &TreePath) -> Result<Patch, EditError> {
        let branch = document.branches.first().ok_or(FindError::Empty)?;
        let (first, rest) = path.steps().split_first().ok_or(EditError::WholeFile)?;
        let Step::Key(key) = first else { return Err(EditError::RootIsMap) };
        let pair = branch.root.pair(key).ok_or_else(|| FindError::NoSuchKey { key: key.clone() })?;
        match rest.first() {
            Some(Step::Key(key)) => return Err(FindError::NotAMap { key: key.clone() }.into()),
            Some(Step::Index(index)) => return Err(FindError::NotAList { index: *index }.into()),
            None => {}
        }
        let text = document.bytes();
        let mut line = pair.span;
        if line.end < text.len() {
            line.end += 1;
        } else if line.start > 0 {
            line.start -= 1;
        }
        let mut patch = Patch::new();
        patch.replace(line, "");
        Ok(patch)
    }

    fn print_file(&self, roots: &[Vec<Line<'_>>], _style: Style) -> Result<SecretText, PrintError> {
        let mut text = SecretText::default();
        // sops: of several documents only the first is printed.
        for line in roots.first().into_iter().flatten() {
            match line {
                Line::Comment(remark) => {
                    text.push_str("#");
                    text.push(remark.text.expose());
                }
                Line::Pair(key, value) => {
                    if let Content::List(_) | Content::Map(_) = value {
                        return Err(complex(key));
                    }
                    check_key(key)?;
                    text.push_str(key);
                    text.push_str("=");
                    text.push(escaped(value.value()).expose());
                }
            }
            text.push_str("\n");
        }
        Ok(text)
    }

    fn print_value(&self, value: &Content<'_>) -> Result<SecretText, PrintError> {
        match value.value() {
            Some(value) if value.kind() == Kind::Str => Ok(SecretText::copy_of(value.expose())),
            value => {
                let kind = value.map_or("null, a list or a map", |value| value.kind().name());
                let problem = format!("a single value must be text, this is {kind}");
                Err(PrintError { format: "dotenv", problem })
            }
        }
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }
}

/// SOPS 3.13: what `edit` offers for a file that does not exist yet.
const EXAMPLE: &str = "\
# This is an example file.
hello=Welcome to SOPS! Edit this file as you please!
example_key=example_value
example_multiline=foo\\nbar\\nbaz
";

fn check_key(key: &str) -> Result<(), PrintError> {
    if !key.contains(['=', '\n']) && !key.starts_with('#') {
        return Ok(());
    }
    let problem = format!("the key {key:?}, which would be read back as another one");
    Err(PrintError { format: "dotenv", problem })
}

fn complex(key: &str) -> PrintError {
    let problem = format!("cannot use complex value in dotenv file; offending key {key}");
    PrintError { format: "dotenv", problem }
}

fn parse(text: SecretText) -> Result<Document, ParseError> {
    let bytes = text.expose();
    let mut entries = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = bytes[start..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| start + at);
        match bytes.get(start) {
            _ if start == end => {}
            Some(b'#') => entries.push(Entry::Comment(Comment {
                span: Span::new(start + 1, end),
                inline: false,
                in_list: false,
                unseen: false,
                part: CommentPart::Whole,
            })),
            _ => entries.push(Entry::Pair(pair(bytes, Span::new(start, end))?)),
        }
        start = end + 1;
    }
    let span = Span::new(0, bytes.len());
    let layout = if entries.is_empty() { Layout::Absent } else { Layout::Block { column: 0 } };
    let root = Map { entries, span, layout };
    let branch = Branch { root, end: bytes.len(), metadata_keys: MetadataKeys::Prefix };
    Ok(Document { text, branches: vec![branch], aliases_expanded: false, comment_texts: Vec::new() })
}

/// The key and value on a line.
fn pair(text: &[u8], line: Span) -> Result<Pair, ParseError> {
    let Some(equals) = line.of(text).iter().position(|&byte| byte == b'=') else {
        let problem = match line.of(text).trim_ascii() {
            b"" => {
                "this line has blanks or a carriage return only; it must be empty, or sops cannot read the file"
            }
            _ => "this line has no `=`; a line of dotenv is KEY=VALUE, or a comment that starts with #",
        };
        return Err(ParseError::at(text, line.start, problem));
    };
    let key = Span::new(line.start, line.start + equals);
    let name = std::str::from_utf8(key.of(text));
    let name = name.map_err(|_| ParseError::at(text, key.start, "the key is not valid UTF-8"))?;
    let leaf = Leaf {
        span: Span::new(key.end + 1, line.end),
        style: LeafStyle::Plain,
        in_flow: false,
        tag: None,
        parent_indent: 0,
        in_list: false,
        sealed_comment: false,
        ends_empty_list: false,
    };
    let key = Key { name: name.to_owned(), span: key, is_text: true };
    Ok(Pair { key, value: Node::Leaf(leaf), span: line })
}

/// What a value means: `\n` is a line feed.
fn unescaped(written: &[u8]) -> SecretBytes {
    let mut value = SecretText::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\\n") {
        value.push(&rest[..at]);
        value.push(b"\n");
        rest = &rest[at + 2..];
    }
    value.push(rest);
    SecretBytes::copy_of(value.expose())
}

/// How a value is written: a line feed is `\n`.
fn escaped(value: Option<&Plaintext>) -> SecretText {
    let text = as_text(value);
    let mut written = SecretText::with_capacity(text.len());
    for (number, line) in text.expose().split(|&byte| byte == b'\n').enumerate() {
        written.push_str(if number > 0 { "\\n" } else { "" });
        written.push(line);
    }
    written
}

fn metadata_lines(metadata: &Tree) -> SecretText {
    let mut lines = SecretText::default();
    for (key, value) in flatten(metadata) {
        lines.push_str(METADATA_PREFIX);
        lines.push_str(&key);
        lines.push_str("=");
        lines.push_str(&value.replace('\n', "\\n"));
        lines.push_str("\n");
    }
    lines
}

/// The lines of metadata, neighbours together, line feeds included.
fn metadata_blocks(text: &[u8], branch: &Branch) -> Vec<Span> {
    let mut blocks: Vec<Span> = Vec::new();
    for pair in branch.root.pairs().filter(|pair| branch.metadata_keys.names(&pair.key.name)) {
        let line = Span::new(pair.span.start, (pair.span.end + 1).min(text.len()));
        match blocks.last_mut() {
            Some(block) if block.end == line.start => block.end = line.end,
            _ => blocks.push(line),
        }
    }
    blocks
}

/// SOPS 3.13: a new key goes behind all others.
fn set(document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
    let branch = document.branches.first().ok_or(FindError::Empty)?;
    let (first, rest) = path.steps().split_first().ok_or(EditError::WholeFile)?;
    let Step::Key(key) = first else { return Err(EditError::RootIsMap) };
    let (true, Tree::Leaf(value)) = (rest.is_empty(), value) else { return Err(EditError::NoRoom) };
    let text = document.bytes();
    let mut patch = Patch::new();
    let written = escaped(Some(value));
    if let Some(pair) = branch.root.pair(key) {
        let place = pair.value.span();
        patch.replace(place, written);
        return Ok(Edit { patch, place: place.start });
    }
    let blocks = metadata_blocks(text, branch);
    let at = blocks.last().filter(|block| block.end == text.len()).map_or(text.len(), |block| block.start);
    let mut line = SecretText::default();
    if at > 0 && text[at - 1] != b'\n' {
        line.push_str("\n");
    }
    line.push_str(key);
    line.push_str("=");
    line.push(written.expose());
    if at < text.len() || line.expose().first() != Some(&b'\n') {
        line.push_str("\n");
    }
    patch.replace(Span::at(at), line);
    Ok(Edit { patch, place: at })
}
