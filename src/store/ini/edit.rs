//! Setting and removing values as changes to the text.

use super::parse::{DEFAULT, content_start, end_of_line, skip_blanks, start_of_line};
use super::{print, spell};
use crate::document::{Comment, CommentPart, Document, Entry, FindError, Map, Node, Pair, Patch};
use crate::key_path::{Step, TreePath};
use crate::secret::SecretText;
use crate::span::Span;
use crate::store::{Edit, EditError, ParseError, PrintError};
use crate::value::{Plaintext, Tree};

/// Sets what `path` names to `value`, which fits INI already.
///
/// SOPS 3.13: a section or key that is missing is added behind the others; of sections with the same name the first
/// one counts.
pub(super) fn set(document: &Document, path: &TreePath, value: &Tree) -> Result<Edit, EditError> {
    let branch = document.branches.first().ok_or(FindError::Empty)?;
    let text = document.bytes();
    let (first, rest) = path.steps().split_first().ok_or(EditError::WholeFile)?;
    let Step::Key(name) = first else { return Err(EditError::RootIsMap) };
    let unprintable = |error: PrintError| EditError::Parse(ParseError::at(text, text.len(), error.problem));
    let section = branch.root.pair(name);
    match (rest, value) {
        ([Step::Key(key)], Tree::Leaf(value)) => match section {
            Some(Pair { value: Node::Map(map), .. }) if map.pair(key).is_some() => {
                let pair = map.pair(key).expect("it is there");
                Ok(replaced(document, pair, value))
            }
            Some(section) => Ok(appended(document, section, key, value)),
            None => {
                let pairs = [(key.clone(), text_of(value)?)];
                let section =
                    print::section_text(name, &pairs, spell::line_break(text)).map_err(unprintable)?;
                Ok(new_section(document, section))
            }
        },
        ([], Tree::Map(pairs)) => {
            let texts = pairs.iter().map(|(key, value)| match value {
                Tree::Leaf(value) => Ok((key.clone(), text_of(value)?)),
                _ => Err(EditError::NoRoom),
            });
            let texts = texts.collect::<Result<Vec<_>, EditError>>()?;
            let newline = spell::line_break(text);
            let Some(section) = section else {
                let section = print::section_text(name, &texts, newline).map_err(unprintable)?;
                return Ok(new_section(document, section));
            };
            let lines = print::pairs_text(name, &texts, newline).map_err(unprintable)?;
            let body = body(text, section);
            let mut patch = Patch::new();
            patch.replace(body, lines);
            Ok(Edit { patch, place: body.start })
        }
        ([Step::Index(index), ..], _) => Err(FindError::NotAList { index: *index }.into()),
        _ => Err(EditError::NoRoom),
    }
}

fn text_of(value: &Plaintext) -> Result<String, EditError> {
    String::from_utf8(value.expose().to_vec()).map_err(|_| EditError::NoRoom)
}

fn replaced(document: &Document, pair: &Pair, value: &Plaintext) -> Edit {
    let text = document.bytes();
    let place = pair.value.span();
    let mut written = spell::spelled_like(place.of(text), value.expose());
    let delimiter = place.start.checked_sub(1).map(|at| text[at]);
    let is_spaced = place.start >= 2 && text[place.start - 2].is_ascii_whitespace();
    if place.is_empty() && is_spaced && matches!(delimiter, Some(b'=' | b':')) && !written.is_empty() {
        let mut spaced = SecretText::copy_of(b" ");
        spaced.push(written.expose());
        written = spaced;
    }
    let mut patch = Patch::new();
    patch.replace(place, written);
    Edit { patch, place: place.start }
}

/// The lines of a section below its header, line breaks included.
fn body(text: &[u8], section: &Pair) -> Span {
    let end = end_of_section(text, section);
    let start =
        if has_header(text, section) { end_of_line(text, section.key.span.end) } else { section.span.start };
    Span::new(start, end.max(start))
}

fn has_header(text: &[u8], section: &Pair) -> bool {
    section.key.name != DEFAULT || text.get(section.key.span.end) == Some(&b']')
}

/// Behind the last line of a section, line break included.
fn end_of_section(text: &[u8], section: &Pair) -> usize {
    if section.span.is_empty() {
        return content_start(text);
    }
    let end = end_of_line(text, section.span.end.max(section.span.start));
    // A value that goes on at the next line, which is empty, has that line too.
    match text[..section.span.end].ends_with(b"\\") {
        true => end_of_line(text, end),
        false => end,
    }
}

/// A new key behind the others of its section, laid out like the last of them.
fn appended(document: &Document, section: &Pair, key: &str, value: &Plaintext) -> Edit {
    let text = document.bytes();
    let newline = spell::line_break(text);
    let at = end_of_section(text, section);
    let last = match &section.value {
        Node::Map(map) => map.pairs().last(),
        _ => None,
    };
    let written = spell::spelled_key(key).unwrap_or_else(|| key.to_owned());
    let mut line = SecretText::default();
    if at > content_start(text) && text[at - 1] != b'\n' {
        line.push_str(newline);
    }
    match last.and_then(|last| Some((last, delimiter(text, last)?))) {
        Some((last, at)) => {
            let start = last.span.start;
            let before = &text[..at];
            let key_end = before.trim_ascii_end().len().max(start);
            line.push(&text[start_of_line(text, start)..start]);
            line.push_str(&written);
            let column = String::from_utf8_lossy(&text[start..at]).chars().count();
            let blanks = column.saturating_sub(written.chars().count()).max(usize::from(key_end < at));
            // Not aligned: no more than what stands there.
            let blanks = if at - key_end <= 1 { at - key_end } else { blanks };
            line.push_str(&" ".repeat(blanks));
            line.push(&text[at..=at]);
            let is_spaced = text.get(at + 1).is_some_and(|byte| matches!(byte, b' ' | b'\t'));
            line.push_str(if is_spaced { " " } else { "" });
        }
        None => {
            line.push_str(&written);
            line.push_str(" = ");
        }
    }
    line.push(spell::spelled_like(b"", value.expose()).expose());
    let is_open = at == text.len() && !text.is_empty() && !text.ends_with(b"\n");
    line.push_str(if is_open { "" } else { newline });
    let mut patch = Patch::new();
    patch.replace(Span::at(at), line);
    Edit { patch, place: at }
}

/// Where the delimiter of a pair stands.
fn delimiter(text: &[u8], pair: &Pair) -> Option<usize> {
    let between = pair.key.span.end..pair.value.span().start;
    let at = text.get(between.clone())?.iter().position(|byte| matches!(byte, b'=' | b':'))?;
    Some(between.start + at)
}

/// A new section behind the others, before the metadata.
fn new_section(document: &Document, section: SecretText) -> Edit {
    let text = document.bytes();
    let newline = spell::line_break(text);
    let sections = document.branches.first().into_iter().flat_map(|branch| branch.root.pairs());
    let last = sections.filter(|section| !document.names_metadata(&section.key.name)).last();
    // Comments at the end of the file stay there.
    let at = last.map_or(content_start(text), |last| end_of_section(text, last));
    let mut lines = SecretText::default();
    if at > content_start(text) {
        lines.push_str(if text[at - 1] == b'\n' { "" } else { newline });
        lines.push_str(newline);
    }
    lines.push(section.expose());
    if !text[at..end_of_line(text, at)].trim_ascii().is_empty() {
        lines.push_str(newline);
    }
    let mut patch = Patch::new();
    patch.replace(Span::at(at), lines);
    Edit { patch, place: at }
}

/// Removes what `path` names, with the comments that belong to it.
pub(super) fn unset(document: &Document, path: &TreePath) -> Result<Patch, EditError> {
    let branch = document.branches.first().ok_or(FindError::Empty)?;
    let text = document.bytes();
    let (first, rest) = path.steps().split_first().ok_or(EditError::WholeFile)?;
    let Step::Key(name) = first else { return Err(EditError::RootIsMap) };
    let no_such_key = |key: &String| FindError::NoSuchKey { key: key.clone() };
    let section = branch.root.pair(name).ok_or_else(|| no_such_key(name))?;
    let Node::Map(map) = &section.value else { return Err(EditError::NoRoom) };
    let mut patch = Patch::new();
    match rest {
        [] => {
            let mut lines = Lines::default();
            if has_header(text, section) || map.pairs().next().is_some() {
                lines.add(start_of_line(text, section.span.start), end_of_section(text, section));
            }
            for entry in &map.entries {
                match entry {
                    Entry::Comment(comment) if comment.unseen && comment.part == CommentPart::Whole => {}
                    Entry::Comment(comment) => lines.add_comment(text, comment),
                    Entry::Pair(_) => {}
                }
            }
            lines.remove(text, &mut patch, has_header(text, section));
        }
        [Step::Key(key)] => {
            let at = map
                .entries
                .iter()
                .position(|entry| matches!(entry, Entry::Pair(pair) if pair.key.name == *key));
            let at = at.ok_or_else(|| no_such_key(key))?;
            let Entry::Pair(pair) = &map.entries[at] else { return Err(EditError::NoRoom) };
            let mut lines = Lines::default();
            lines.add(start_of_line(text, pair.span.start), end_of_pair(text, map, pair));
            for entry in &map.entries[at + 1..] {
                match entry {
                    Entry::Comment(comment) if comment.unseen && comment.part == CommentPart::Whole => break,
                    Entry::Comment(comment) => lines.add_comment(text, comment),
                    Entry::Pair(_) => break,
                }
            }
            lines.remove(text, &mut patch, false);
        }
        [Step::Key(_), Step::Key(key), ..] => return Err(FindError::NotAMap { key: key.clone() }.into()),
        [Step::Key(_), Step::Index(index), ..] | [Step::Index(index), ..] => {
            return Err(FindError::NotAList { index: *index }.into());
        }
    }
    Ok(patch)
}

/// Behind the last line of a value, line break included.
fn end_of_pair(text: &[u8], map: &Map, pair: &Pair) -> usize {
    let end = end_of_line(text, pair.span.end);
    let goes_on = text[..pair.span.end].ends_with(b"\\") && map.span.end >= pair.span.end;
    if goes_on { end_of_line(text, end) } else { end }
}

/// Lines to remove.
#[derive(Default)]
struct Lines {
    spans: Vec<Span>,
}

impl Lines {
    fn add(&mut self, start: usize, end: usize) {
        self.spans.push(Span::new(start, end.max(start)));
    }

    /// Adds the line of a comment, unless that is the line of a key, which is there already.
    fn add_comment(&mut self, text: &[u8], comment: &Comment) {
        let start = start_of_line(text, comment.span.start);
        let first = skip_blanks(text, start, comment.span.start);
        if matches!(text.get(first), Some(b'#' | b';')) {
            self.add(start, end_of_line(text, comment.span.start));
        }
    }

    /// `with_blank`: the empty line below goes too.
    fn remove(mut self, text: &[u8], patch: &mut Patch, with_blank: bool) {
        self.spans.sort_by_key(|span| (span.start, span.end));
        let mut joined: Vec<Span> = Vec::new();
        for span in self.spans {
            match joined.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => joined.push(span),
            }
        }
        if let (true, Some(last)) = (with_blank, joined.last_mut()) {
            let next = end_of_line(text, last.end);
            if text[last.end..next].trim_ascii().is_empty() {
                last.end = next;
            }
        }
        joined.into_iter().for_each(|span| patch.replace(span, ""));
    }
}
