//! New text in the normal form that sops gives INI: keys aligned, an empty line between sections.

use super::spell::{Owner, comment_lines, spelled, spelled_header, spelled_key};
use crate::secret::{SecretBytes, SecretText};
use crate::store::{Content, Element, Line, PrintError};
use crate::value::{Kind, Plaintext, as_text};

pub(super) fn refused(problem: impl Into<String>) -> PrintError {
    PrintError { format: "INI", problem: problem.into() }
}

pub(super) fn complex(section: &str, key: &str) -> PrintError {
    refused(format!("a list or map as the value of {key:?} in section {section:?}"))
}

/// A key with its comment, ready to print.
struct Entry {
    key: String,
    value: SecretText,
    comment: Option<SecretBytes>,
}

/// A file. SOPS 3.13: the documents of a file follow each other; comments above sections and all but the last behind
/// a key are dropped.
pub(super) fn print_file(roots: &[Vec<Line<'_>>]) -> Result<SecretText, PrintError> {
    let sections: Vec<(&String, &Content<'_>)> = roots
        .iter()
        .flatten()
        .filter_map(|line| match line {
            Line::Pair(name, value) => Some((name, value)),
            Line::Comment(_) => None,
        })
        .collect();
    let mut text = SecretText::default();
    for (at, (name, value)) in sections.iter().enumerate() {
        let Content::Map(lines) = value else {
            return Err(refused(format!(
                "section values should always be maps, and the value of {name:?} is none"
            )));
        };
        let (comment, entries) = entries(name, lines)?;
        let header = spelled_header(name, at == 0);
        let header = header.ok_or_else(|| refused(format!("a section with the name {name:?}")))?;
        push_comment(&mut text, comment.as_ref(), Owner::Section);
        if !header.is_empty() {
            text.push_str(&header);
            text.push_str("\n");
        } else if entries.is_empty() {
            continue;
        }
        push_entries(&mut text, &entries, "\n");
        if at + 1 < sections.len() {
            text.push_str("\n");
        }
    }
    Ok(text)
}

/// A section of its own, from its header to the end of its last line.
pub(super) fn section_text(
    name: &str,
    pairs: &[(String, String)],
    newline: &str,
) -> Result<SecretText, PrintError> {
    let header = spelled_header(name, false);
    let mut text = SecretText::default();
    text.push_str(&header.ok_or_else(|| refused(format!("a section with the name {name:?}")))?);
    text.push_str(newline);
    text.push(pairs_text(name, pairs, newline)?.expose());
    Ok(text)
}

/// The lines of a section.
pub(super) fn pairs_text(
    name: &str,
    pairs: &[(String, String)],
    newline: &str,
) -> Result<SecretText, PrintError> {
    let entries = pairs.iter().map(|(key, value)| entry(name, key, value.as_bytes()));
    let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
    let mut text = SecretText::default();
    push_entries(&mut text, &entries, newline);
    Ok(text)
}

fn entry(section: &str, key: &str, value: &[u8]) -> Result<Entry, PrintError> {
    let in_section = |what: &str| refused(format!("{what} {key:?} in section {section:?}"));
    Ok(Entry {
        key: spelled_key(key).ok_or_else(|| in_section("the key"))?,
        value: spelled(value).ok_or_else(|| in_section("the value of"))?,
        comment: None,
    })
}

/// The comment and the keys of a section.
fn entries(section: &str, lines: &[Line<'_>]) -> Result<(Option<SecretBytes>, Vec<Entry>), PrintError> {
    let mut comment = None;
    let mut entries: Vec<Entry> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        match line {
            Line::Comment(remark) if remark.unseen => {}
            Line::Comment(remark) => {
                let text = Some(SecretBytes::copy_of(remark.text.expose()));
                match entries.last_mut() {
                    Some(entry) => entry.comment = text,
                    None if at == 0 => comment = text,
                    None => {}
                }
            }
            Line::Pair(key, Content::List(_) | Content::Map(_)) => return Err(complex(section, key)),
            Line::Pair(key, value) => entries.push(entry(section, key, as_text(value.value()).expose())?),
        }
    }
    Ok((comment, entries))
}

fn push_comment(text: &mut SecretText, comment: Option<&SecretBytes>, owner: Owner) {
    let Some(comment) = comment.filter(|comment| !comment.expose().is_empty()) else { return };
    for line in comment_lines(comment.expose(), owner) {
        text.push(line.expose());
        text.push_str("\n");
    }
}

fn push_entries(text: &mut SecretText, entries: &[Entry], newline: &str) {
    let widest = entries.iter().map(|entry| entry.key.len()).max().unwrap_or(0);
    for entry in entries {
        push_comment(text, entry.comment.as_ref(), Owner::Key);
        text.push_str(&entry.key);
        text.push_str(&" ".repeat(widest - entry.key.len()));
        text.push_str(" = ");
        text.push(entry.value.expose());
        text.push_str(newline);
    }
}

/// A single value. SOPS 3.13: as JSON on one line.
pub(super) fn print_value(value: &Content<'_>) -> Result<SecretText, PrintError> {
    let mut text = SecretText::default();
    push_json(&mut text, value)?;
    Ok(text)
}

fn push_json(text: &mut SecretText, value: &Content<'_>) -> Result<(), PrintError> {
    match value {
        Content::Null => text.push_str("null"),
        Content::List(elements) => {
            text.push_str("[");
            let values = elements.iter().filter_map(|element| match element {
                Element::Value(value) => Some(value),
                Element::Comment(_) => None,
            });
            for (at, value) in values.enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                push_json(text, value)?;
            }
            text.push_str("]");
        }
        Content::Map(_) => return Err(refused("a map as a single value")),
        scalar => {
            let value = scalar.value().expect("the others were handled");
            push_json_scalar(text, value);
        }
    }
    Ok(())
}

fn push_json_scalar(text: &mut SecretText, value: &Plaintext) {
    let content = value.expose();
    match value.kind() {
        Kind::Int | Kind::Float => text.push(content),
        Kind::Bool => text.push(&content.to_ascii_lowercase()),
        Kind::Str | Kind::Bytes | Kind::Time | Kind::Comment => {
            text.push_str("\"");
            for character in String::from_utf8_lossy(content).chars() {
                match character {
                    '"' => text.push_str("\\\""),
                    '\\' => text.push_str("\\\\"),
                    '\n' => text.push_str("\\n"),
                    '\r' => text.push_str("\\r"),
                    '\t' => text.push_str("\\t"),
                    '\u{8}' => text.push_str("\\b"),
                    '\u{c}' => text.push_str("\\f"),
                    '<' | '>' | '&' | '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                        text.push_str(&format!("\\u{:04x}", u32::from(character)));
                    }
                    _ => text.push_str(character.encode_utf8(&mut [0; 4])),
                }
            }
            text.push_str("\"");
        }
    }
}

/// SOPS 3.13: what `edit` offers for a file that does not exist yet.
pub(super) const EXAMPLE: &str = "\
; This is an example file.
[Welcome!]
hello       = Welcome to SOPS! Edit this file as you please!
example_key = example_value
";
