//! Nodes → the tree, with comments where sops files them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::alias;
use super::parse::{Content, Parsed, ParsedDocument, ParsedItem, ParsedLayout, ParsedPair, Parser};
use super::scalar;
use super::scan::{Lines, ScanError};
use super::spell;
use crate::document::{
    Branch, Comment, CommentPart, Document, Entry, Item, Key, Layout, Leaf, LeafStyle, List, Map,
    MetadataKeys, Node, Pair,
};
use crate::secret::SecretText;
use crate::span::{Position, Span};
use crate::store::ParseError;

/// What reading a text gives.
pub(super) enum Read {
    /// The document.
    Document(Document),
    /// The same text with every alias written out, to be read again.
    Aliased(SecretText),
}

/// Reads a text.
pub(super) fn read(text: SecretText) -> Result<Read, ParseError> {
    let (documents, comment_lines) = parse(text.expose())?;
    check(text.expose(), &documents)?;
    if let Some(expanded) = alias::expand(text.expose(), &documents)? {
        return Ok(Read::Aliased(expanded));
    }
    let mut builder = Builder { text: text.expose(), seen: vec![false; comment_lines.len()], comment_lines };
    let mut branches = Vec::with_capacity(documents.len());
    for document in documents {
        branches.push(builder.branch(document)?);
    }
    builder.file_unseen_comments(&mut branches);
    Ok(Read::Document(Document { branches, text, aliases_expanded: false, comment_texts: Vec::new() }))
}

/// Parses a text into nodes.
fn parse(text: &[u8]) -> Result<(Vec<ParsedDocument>, Vec<Span>), ParseError> {
    if text.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let scan_error = |error: ScanError| ParseError::at(text, error.offset, error.problem);
    let (documents, comments) = Parser::new(text).map_err(scan_error)?.parse().map_err(scan_error)?;
    if documents.is_empty() {
        let mut error = ParseError::at(text, 0, "there is no document in the file, only blanks or comments");
        error.empty = true;
        return Err(error);
    }
    Ok((documents, comments))
}

/// Column of byte `offset`, in characters from 0.
pub(super) fn column_of(text: &[u8], offset: usize) -> usize {
    let line = &text[super::start_of_line(text, offset).min(offset)..offset];
    line.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

// ---------------------------------------------------------------- rules on nodes

/// Refuses what sops refuses: tops that are not maps, duplicate keys, impossible tags and merges.
///
/// sops looks for duplicate keys in the first document only; here every document is looked at.
fn check(text: &[u8], documents: &[ParsedDocument]) -> Result<(), ParseError> {
    for document in documents {
        let root = &document.root;
        match &root.content {
            Content::Map { .. } | Content::Alias => {}
            Content::List { .. } => {
                return Err(ParseError::at(
                    text,
                    root.span.start,
                    "the top level is a list, but must be a map",
                ));
            }
            Content::Scalar { style, .. } => {
                let leaf = leaf_of(root, *style, false, -1, false);
                if spell::read(text, &leaf)?.is_some() {
                    let problem = "the top level is a single value, but must be a map";
                    return Err(ParseError::at(text, root.span.start, problem));
                }
            }
        }
        check_node(text, root)?;
    }
    Ok(())
}

fn check_node(text: &[u8], node: &Parsed) -> Result<(), ParseError> {
    match &node.content {
        Content::Scalar { style, in_flow, parent_indent } => {
            if node.extras().tag.is_none() {
                return Ok(());
            }
            spell::check_tag(text, &leaf_of(node, *style, *in_flow, *parent_indent, false))
        }
        Content::Alias => Ok(()),
        Content::List { items, .. } => items.iter().try_for_each(|item| check_node(text, &item.node)),
        Content::Map { pairs, .. } => {
            check_duplicates(text, pairs)?;
            for pair in pairs {
                check_node(text, &pair.key)?;
                check_merge(text, pair)?;
                check_node(text, &pair.value)?;
            }
            Ok(())
        }
    }
}

/// Two keys are the same when their text is, whatever their quotes, as in go-yaml.
fn check_duplicates(text: &[u8], pairs: &[ParsedPair]) -> Result<(), ParseError> {
    if pairs.len() < 2 || are_plainly_distinct(text, pairs) {
        return Ok(());
    }
    let mut seen: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(pairs.len());
    for pair in pairs {
        let start = pair.key.span.start;
        if let Some(first) = seen.insert(key_text(text, &pair.key)?, start) {
            let name = key_text(text, &pair.key)?;
            let line = Position::of(text, first).line;
            let problem = format!("mapping key {name:?} already defined at line {line}");
            return Err(ParseError::at(text, start, problem));
        }
    }
    Ok(())
}

/// Whether a few simple keys are different at first sight, as those of most maps are.
fn are_plainly_distinct(text: &[u8], pairs: &[ParsedPair]) -> bool {
    const FEW: usize = 16;
    if pairs.len() > FEW {
        return false;
    }
    let mut names = [&b""[..]; FEW];
    for (at, pair) in pairs.iter().enumerate() {
        let Some(name) = simple_key(text, &pair.key) else { return false };
        if names[..at].contains(&name) {
            return false;
        }
        names[at] = name;
    }
    true
}

fn check_merge(text: &[u8], pair: &ParsedPair) -> Result<(), ParseError> {
    let plain = matches!(pair.key.content, Content::Scalar { style: LeafStyle::Plain, .. });
    if !plain || pair.key.span.of(text) != b"<<" || pair.key.extras().tag.is_some() {
        return Ok(());
    }
    let is_map = |node: &Parsed| matches!(node.content, Content::Map { .. } | Content::Alias);
    let fits = match &pair.value.content {
        Content::List { items, .. } => items.iter().all(|item| is_map(&item.node)),
        _ => is_map(&pair.value),
    };
    if fits {
        return Ok(());
    }
    let problem = "map merge requires map or sequence of maps as the value";
    Err(ParseError::at(text, pair.value.span.start, problem))
}

/// The text of a key; a collection has none of its own.
fn key_text<'t>(text: &'t [u8], key: &Parsed) -> Result<Cow<'t, str>, ParseError> {
    let Content::Scalar { style, .. } = key.content else {
        return Ok(String::from_utf8_lossy(key.span.of(text)));
    };
    if let Some(simple) = simple_key(text, key) {
        return Ok(String::from_utf8_lossy(simple));
    }
    let decoded = spell::decode(text, &leaf_of(key, style, false, -1, false))?;
    Ok(Cow::Owned(String::from_utf8_lossy(decoded.expose()).into_owned()))
}

/// The text of a key in which nothing is folded and nothing escaped: it is what is written.
fn simple_key<'t>(text: &'t [u8], key: &Parsed) -> Option<&'t [u8]> {
    let Content::Scalar { style, .. } = key.content else { return None };
    let written = key.span.of(text);
    let inner = match style {
        LeafStyle::Plain => written,
        LeafStyle::Single | LeafStyle::Double => &written[1..written.len() - 1],
        LeafStyle::Block(_) => return None,
    };
    inner.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\')).then_some(inner)
}

/// The leaf of a scalar node.
pub(super) fn leaf_of(
    node: &Parsed,
    style: LeafStyle,
    in_flow: bool,
    parent_indent: isize,
    in_list: bool,
) -> Leaf {
    Leaf {
        span: node.span,
        style,
        in_flow,
        tag: node.tag().map(Box::new),
        parent_indent,
        in_list,
        sealed_comment: false,
        ends_empty_list: false,
    }
}

// ---------------------------------------------------------------- building

struct Builder<'t> {
    text: &'t [u8],
    comment_lines: Vec<Span>,
    seen: Vec<bool>,
}

impl Builder<'_> {
    fn branch(&mut self, document: ParsedDocument) -> Result<Branch, ParseError> {
        let mut entries = Vec::new();
        self.map_comments(&mut entries, &document.head, false);
        let root = document.root;
        let (span, layout) = match &root.content {
            Content::Map { layout, .. } => (root.span, layout_of(*layout)),
            _ => (root.span, Layout::Absent),
        };
        let foot = root.extras().foot.clone();
        self.map_comments(&mut entries, &root.extras().head, false);
        self.map_comments(&mut entries, &root.extras().line, false);
        if let Content::Map { pairs, .. } = root.content {
            self.pairs(&mut entries, pairs)?;
        }
        self.map_comments(&mut entries, &foot, false);
        self.map_comments(&mut entries, &document.foot, false);
        Ok(Branch {
            root: Map { entries, span, layout },
            end: document.end,
            metadata_keys: MetadataKeys::Entry,
        })
    }

    /// SOPS 3.13 (stores/yaml): comments of the key, then those of a scalar value, then the pair, then the feet.
    fn pairs(&mut self, entries: &mut Vec<Entry>, pairs: Vec<ParsedPair>) -> Result<(), ParseError> {
        for ParsedPair { start, key, mut value, end } in pairs {
            self.map_comments(entries, &key.extras().head, false);
            self.map_comments(entries, &key.extras().line, false);
            let scalar = matches!(value.content, Content::Scalar { .. } | Content::Alias);
            if scalar {
                self.map_comments(entries, &value.extras().head, false);
                self.map_comments(entries, &value.extras().line, true);
            }
            // A collection files its own.
            let value_foot = if scalar { value.take_foot() } else { Lines::new() };
            let name = key_text(self.text, &key)?.into_owned();
            let is_text = self.is_text_key(&key);
            let span = Span::new(start, end);
            let node = self.node(value, scalar, false)?;
            entries.push(Entry::Pair(Pair { key: Key { name, span: key.span, is_text }, value: node, span }));
            if scalar {
                self.map_comments(entries, &value_foot, false);
            }
            self.map_comments(entries, &key.extras().foot, false);
        }
        Ok(())
    }

    fn is_text_key(&self, key: &Parsed) -> bool {
        match (&key.content, key.extras().tag.as_deref()) {
            (Content::Scalar { style: LeafStyle::Plain, .. }, None | Some("!")) => {
                let written = key.span.of(self.text);
                let is_text = |text: &str| {
                    matches!(scalar::resolve(text), scalar::Resolved::Str | scalar::Resolved::Merge)
                };
                scalar::is_ordinary_word(written) || is_text(&String::from_utf8_lossy(written))
            }
            (Content::Scalar { .. }, Some("!!int" | "!!float" | "!!bool" | "!!null" | "!!timestamp")) => {
                false
            }
            (Content::Scalar { .. }, _) => true,
            _ => false,
        }
    }

    /// A node's tree. `handled`: its own comments were placed by the caller.
    fn node(&mut self, mut node: Parsed, handled: bool, in_list: bool) -> Result<Node, ParseError> {
        let span = node.span;
        match std::mem::take(&mut node.content) {
            Content::Scalar { style, in_flow, parent_indent } => {
                let tag = node.take_tag().map(Box::new);
                let sealed_comment = in_list && is_sealed_comment(span.of(self.text));
                Ok(Node::Leaf(Leaf {
                    span,
                    style,
                    in_flow,
                    tag,
                    parent_indent,
                    in_list,
                    sealed_comment,
                    ends_empty_list: false,
                }))
            }
            Content::Alias => unreachable!("aliases were written out before the tree is built"),
            Content::List { items, layout } => {
                let mut list = Vec::with_capacity(items.len());
                if !handled {
                    self.list_comments(&mut list, &node.extras().head, false);
                    self.list_comments(&mut list, &node.extras().line, false);
                }
                for ParsedItem { start, mut node, end } in items {
                    self.list_comments(&mut list, &node.extras().head, false);
                    self.list_comments(&mut list, &node.extras().line, true);
                    let foot = node.take_foot();
                    let span = Span::new(start, end);
                    list.push(Item::Value { node: self.node(node, true, true)?, span });
                    self.list_comments(&mut list, &foot, false);
                }
                if !handled {
                    self.list_comments(&mut list, &node.extras().foot, false);
                }
                mark_end_of_empty_list(&mut list);
                Ok(Node::List(List { items: list, span, layout: layout_of(layout) }))
            }
            Content::Map { pairs, layout } => {
                let mut entries = Vec::with_capacity(pairs.len());
                if !handled {
                    self.map_comments(&mut entries, &node.extras().head, false);
                    self.map_comments(&mut entries, &node.extras().line, false);
                }
                self.pairs(&mut entries, pairs)?;
                if !handled {
                    self.map_comments(&mut entries, &node.extras().foot, false);
                }
                Ok(Node::Map(Map { entries, span, layout: layout_of(layout) }))
            }
        }
    }

    fn map_comments(&mut self, entries: &mut Vec<Entry>, lines: &Lines, inline: bool) {
        for &line in lines.iter().flatten() {
            entries.push(Entry::Comment(self.comment(line, inline, false)));
        }
    }

    fn list_comments(&mut self, items: &mut Vec<Item>, lines: &Lines, inline: bool) {
        for &line in lines.iter().flatten() {
            items.push(Item::Comment(self.comment(line, inline, true)));
        }
    }

    fn comment(&mut self, line: usize, inline: bool, in_list: bool) -> Comment {
        self.seen[line] = true;
        let span = self.comment_lines[line];
        Comment {
            span: Span::new(span.start + 1, span.end),
            inline,
            in_list,
            unseen: false,
            part: CommentPart::Whole,
        }
    }

    /// Files the comments that go-yaml drops under the innermost collection around them: sops never sees them,
    /// but they may not stay in clear.
    fn file_unseen_comments(&self, branches: &mut [Branch]) {
        let lines = self.comment_lines.iter().zip(&self.seen).filter(|(_, seen)| !**seen);
        let unseen: Vec<Span> = lines.map(|(line, _)| Span::new(line.start + 1, line.end)).collect();
        let mut rest = &unseen[..];
        let last = branches.len().saturating_sub(1);
        for (at, branch) in branches.iter_mut().enumerate() {
            let inside =
                if at == last { rest.len() } else { rest.partition_point(|span| span.start <= branch.end) };
            let (own, others) = rest.split_at(inside);
            rest = others;
            file_into_map(&mut branch.root, own);
        }
    }
}

/// Files comments, which are in order, in a map or in the collections in it.
fn file_into_map(map: &mut Map, mut unseen: &[Span]) {
    let mut own = Vec::new();
    for entry in &mut map.entries {
        if let Entry::Pair(pair) = entry {
            unseen = file_into_node(&mut pair.value, unseen, &mut own);
        }
    }
    own.extend_from_slice(unseen);
    map.entries.extend(own.into_iter().map(|span| Entry::Comment(unseen_comment(span))));
}

fn file_into_list(list: &mut List, mut unseen: &[Span]) {
    let mut own = Vec::new();
    for item in &mut list.items {
        if let Item::Value { node, .. } = item {
            unseen = file_into_node(node, unseen, &mut own);
        }
    }
    own.extend_from_slice(unseen);
    list.items.extend(own.into_iter().map(|span| Item::Comment(unseen_comment(span))));
}

/// Files the comments inside `node` there, those before it in `before`, and gives back those behind it.
fn file_into_node<'u>(node: &mut Node, unseen: &'u [Span], before: &mut Vec<Span>) -> &'u [Span] {
    if unseen.is_empty() || matches!(node, Node::Leaf(_)) {
        return unseen;
    }
    let span = node.span();
    let (outside, rest) = unseen.split_at(unseen.partition_point(|comment| comment.start <= span.start));
    let (inside, behind) = rest.split_at(rest.partition_point(|comment| comment.start < span.end));
    before.extend_from_slice(outside);
    match node {
        Node::Map(map) if !inside.is_empty() => file_into_map(map, inside),
        Node::List(list) if !inside.is_empty() => file_into_list(list, inside),
        _ => {}
    }
    behind
}

fn unseen_comment(span: Span) -> Comment {
    Comment { span, inline: false, in_list: false, unseen: true, part: CommentPart::Whole }
}

fn layout_of(layout: ParsedLayout) -> Layout {
    match layout {
        ParsedLayout::Block { column } => Layout::Block { column },
        ParsedLayout::Flow => Layout::Flow,
    }
}

/// Whether the text is a comment as sops seals it in a list.
fn is_sealed_comment(text: &[u8]) -> bool {
    text.starts_with(b"ENC[AES256_GCM,") && text.ends_with(b",type:comment]")
}

fn mark_end_of_empty_list(items: &mut [Item]) {
    let only_comments = items.iter().all(|item| match item {
        Item::Value { node: Node::Leaf(leaf), .. } => leaf.sealed_comment,
        Item::Value { .. } => false,
        Item::Comment(_) => true,
    });
    if let (true, Some(Item::Value { node: Node::Leaf(leaf), .. })) = (only_comments, items.last_mut()) {
        leaf.ends_empty_list = true;
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::store::Store;
    use crate::store::yaml::Yaml;
    use crate::value::Kind;

    fn parse(text: &[u8]) -> Result<Document, ParseError> {
        Yaml.parse(SecretText::copy_of(text))
    }

    /// The tree one place a line, as the files `testdata/yaml/comments/*.txt` have it: `/path = kind text` for a
    /// scalar, `{}` and `[]` for collections, `#` for a comment and `#>` for one behind a value.
    fn listing(document: &Document) -> String {
        let mut lines = String::new();
        for branch in &document.branches {
            lines.push_str("---\n");
            list_map(&mut lines, document, "", &branch.root);
        }
        lines
    }

    fn list_map(lines: &mut String, document: &Document, path: &str, map: &Map) {
        for entry in &map.entries {
            match entry {
                Entry::Comment(comment) => list_comment(lines, document, path, comment),
                Entry::Pair(pair) => {
                    let path = format!("{path}/{}", on_one_line(pair.key.name.as_bytes()));
                    list_node(lines, document, &path, &pair.value);
                }
            }
        }
    }

    fn list_node(lines: &mut String, document: &Document, path: &str, node: &Node) {
        match node {
            Node::Map(map) => {
                writeln!(lines, "{path} {{}}").unwrap();
                list_map(lines, document, path, map);
            }
            Node::List(list) => {
                writeln!(lines, "{path} []").unwrap();
                for (index, item) in list.elements().enumerate() {
                    match item {
                        Item::Comment(comment) => list_comment(lines, document, path, comment),
                        Item::Value { node, .. } => {
                            list_node(lines, document, &format!("{path}/{index}"), node);
                        }
                    }
                }
            }
            Node::Leaf(leaf) => {
                let value = match Yaml.read(document, leaf).unwrap() {
                    None => "null".to_owned(),
                    Some(value) => {
                        let text = on_one_line(value.expose());
                        match value.kind() {
                            Kind::Str => format!("str {text}"),
                            Kind::Int => format!("int {text}"),
                            Kind::Bool => format!("bool {}", text.to_lowercase()),
                            kind => kind.name().to_owned(),
                        }
                    }
                };
                writeln!(lines, "{path} = {value}").unwrap();
            }
        }
    }

    fn list_comment(lines: &mut String, document: &Document, path: &str, comment: &Comment) {
        if !comment.unseen {
            let sign = if comment.inline { "#>" } else { "#" };
            writeln!(lines, "{path} {sign}{}", on_one_line(comment.span.of(document.bytes()))).unwrap();
        }
    }

    fn on_one_line(text: &[u8]) -> String {
        String::from_utf8_lossy(text).replace('\n', "␤")
    }

    #[test]
    fn comments_stand_where_sops_files_them() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/yaml/comments");
        let mut vectors = 0;
        for entry in std::fs::read_dir(folder).expect("the vectors are there") {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "yaml") {
                let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap();
                let document = parse(&std::fs::read(&path).unwrap()).unwrap();
                assert_eq!(listing(&document), expected, "{}", path.display());
                vectors += 1;
            }
        }
        assert!(vectors >= 60, "only {vectors} vectors");
    }

    #[test]
    fn a_comment_that_sops_drops_is_kept_in_the_collection_around_it() {
        let text = b"a: [ # in the list\n]\nb: {c: 1} # seen\n... # behind\n---\nd: 1\n... # last\n";
        let document = parse(text).unwrap();
        let unseen = |comment: &Comment| {
            assert!(comment.unseen && !comment.in_list && !comment.inline);
            String::from_utf8_lossy(comment.span.of(text)).into_owned()
        };
        let first = &document.branches[0].root;
        let Some(Entry::Pair(Pair { value: Node::List(list), .. })) = first.entries.first() else { panic!() };
        let Some(Item::Comment(inside)) = list.items.first() else {
            panic!("the comment is not in the list")
        };
        assert_eq!(unseen(inside), " in the list");
        assert_eq!(list.elements().count(), 0, "sops does not count it");
        let last = document.branches[1].root.entries.last();
        let Some(Entry::Comment(last)) = last else { panic!("the comment behind the end is not in the map") };
        assert_eq!(unseen(last), " last");
        let seen = "---\n/a []\n/b {}\n/b # seen\n/b/c = int 1\n---\n # behind\n/d = int 1\n";
        assert_eq!(listing(&document), seen);
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused_and_nesting_within_it_fits_a_small_stack() {
        let nested = |depth: usize| {
            let block: String = (0..depth).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
            let indentless = |level: usize| format!("{0}a:\n{0}-\n", " ".repeat(level));
            [
                format!("a: {}{}", "[".repeat(depth), "]".repeat(depth)),
                format!("{}{}", "{a: ".repeat(depth), "}".repeat(depth)),
                format!("a: {}{}", "[a: ".repeat(depth / 2), "]".repeat(depth / 2)),
                format!("a:\n  {}x", "- ".repeat(depth)),
                (0..depth / 2).map(indentless).collect(),
                block,
            ]
        };
        for text in nested(super::super::parse::MAX_DEPTH - 2) {
            assert!(parse(text.as_bytes()).is_ok(), "{}", &text[..20]);
        }
        for text in nested(3_000) {
            let error = parse(text.as_bytes()).err().expect("it is too deep");
            assert_eq!(error.problem, "nested too deeply");
        }
    }

    #[test]
    fn json_on_one_long_line_is_not_searched_again_for_each_key() {
        let pairs: Vec<String> = (0..40_000).map(|number| format!("\"k{number}\":{number}")).collect();
        let text = format!("{{{}}}", pairs.join(","));
        let document = parse(text.as_bytes()).unwrap();
        let last = document.branches[0].root.pairs().last().unwrap();
        assert_eq!(last.span.of(text.as_bytes()), b"\"k39999\":39999");
    }

    #[test]
    fn a_pair_starts_at_its_question_mark_anchor_or_tag() {
        let text = b"? a\n: 1\n&x b: 2\n!!str c: 3\nd: {!!str e: 4}\n";
        let document = parse(text).unwrap();
        let starts: Vec<_> = document.branches[0].root.pairs().map(|pair| pair.span.start).collect();
        assert_eq!(starts, [0, 8, 16, 27]);
    }

    #[test]
    fn a_byte_order_mark_inside_the_text_is_a_part_of_a_word() {
        let document = parse("\u{feff}a: 1\n\u{feff}b: 2\n".as_bytes()).unwrap();
        assert_eq!(listing(&document), "---\n/a = int 1\n/\u{feff}b = int 2\n");
        assert!(parse("\u{feff}\u{feff}a: 1\n".as_bytes()).is_err());
    }

    #[test]
    fn tags_are_read_with_their_handles_and_escapes() {
        let document = parse(b"a: !%21str 1\nb: !!s%74r 2\nc: !?e!x 3\n").unwrap();
        let tag = |pair: &Pair| match &pair.value {
            Node::Leaf(leaf) => leaf.tag_name().unwrap().to_owned(),
            _ => panic!("it is a scalar"),
        };
        let tags: Vec<_> = document.branches[0].root.pairs().map(tag).collect();
        assert_eq!(tags, ["!!str", "!!str", "!?e!x"]);
    }
}
