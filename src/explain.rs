//! Why a file is sealed as it is, or would be: which rule of the config, for whom, and which of its values.

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError};
use crate::document::{Document, Spot, walk};
use crate::file::FileError;
use crate::key_path::KeyPath;
use crate::metadata::Metadata;
use crate::provider::{KeyGroup, MasterKey};
use crate::secret::SecretText;
use crate::selection::{Selection, SelectionRule};
use crate::store::Store;

/// How the config file decides about a file.
#[derive(Debug)]
pub struct RuleReport {
    /// The config file.
    pub config: PathBuf,
    /// The file as the rules see it: relative to the config file when it is below it.
    pub file: String,
    /// The rules that were passed over, by place, each with its `path_regex`.
    pub passed_over: Vec<(String, String)>,
    /// The rule that holds and its `path_regex`; `None` when the config file has no creation rules.
    pub rule: Option<(String, String)>,
    /// Who can open a file of this rule, and which values it seals.
    pub sealing: Option<Sealing>,
}

/// Who can open a file, and which of its values are sealed.
#[derive(Debug)]
pub struct Sealing {
    /// The groups of keys.
    pub groups: Vec<Vec<Recipient>>,
    /// How many groups are needed.
    pub needed: usize,
    /// The rule by which values are chosen.
    pub selection: SelectionRule,
    /// Whether the MAC covers sealed values only.
    pub mac_only_encrypted: bool,
}

/// A key that opens a file.
#[derive(Debug)]
pub struct Recipient {
    /// The key.
    pub key: MasterKey,
    /// What the config file calls it.
    pub name: Option<String>,
}

/// One value or comment of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The map keys that lead to it.
    pub path: KeyPath,
    /// The line it stands on, from 1.
    pub line: usize,
    /// Whether it is a comment.
    pub is_comment: bool,
    /// Whether it is sealed, or would be.
    pub sealed: bool,
}

/// What stands in a file.
#[derive(Debug)]
pub struct FileReport {
    /// Who can open it, when it is sealed.
    pub sealing: Option<Sealing>,
    /// Its values and comments, in order.
    pub fates: Vec<Fate>,
}

/// Tells which rule of `config` holds for `file`, which is absolute and of the format of `store`, and what it says.
pub fn rule_for(config: &Config, file: &Path, store: &dyn Store) -> Result<RuleReport, ConfigError> {
    let rule = config.rule_for(file)?;
    let place = rule.map(|rule| rule.place().to_owned());
    let named = |rule: &crate::CreationRule| (rule.place().to_owned(), rule.path_regex().to_owned());
    let passed_over =
        config.creation_rules().iter().take_while(|other| Some(other.place()) != place.as_deref());
    Ok(RuleReport {
        config: config.path().to_owned(),
        file: config.as_rules_see(file),
        passed_over: passed_over.map(named).collect(),
        rule: rule.map(named),
        sealing: match rule {
            None => None,
            Some(rule) => Some(Sealing::new(
                &rule.key_groups()?,
                rule.shamir_threshold().and_then(|threshold| usize::try_from(threshold).ok()),
                fitting(rule.selection()?.unwrap_or_default(), store),
                rule.mac_only_encrypted(),
                Some(config),
            )),
        },
    })
}

/// Tells which values of a file are sealed: by its own metadata, or by `planned` when it is not sealed yet.
pub fn file(
    text: SecretText,
    store: &dyn Store,
    planned: &SelectionRule,
    config: Option<&Config>,
) -> Result<FileReport, FileError> {
    let (document, metadata) = read(text, store)?;
    let rule = metadata.as_ref().map_or(planned, |metadata| &metadata.selection);
    let selection = Selection::compile(&fitting(rule.clone(), store))?;
    let mut fates = Vec::new();
    let lines = LineStarts::of(document.bytes());
    walk(&document, &selection, |place| -> Result<(), FileError> {
        let (start, is_comment, is_empty) = match place.spot {
            Spot::Comment(comment) => (comment.span.start, true, comment.span.is_empty()),
            Spot::Leaf(leaf) => {
                // The sops format leaves null and empty text as they are.
                let value = store.read(&document, leaf)?;
                (leaf.span.start, false, value.is_none_or(|value| value.is_empty()))
            }
        };
        let (path, line) = (place.path.clone(), lines.line_of(start));
        fates.push(Fate { path, line, is_comment, sealed: place.selected && !is_empty });
        Ok(())
    })?;
    let sealing = metadata.map(|metadata| {
        let threshold = Some(metadata.shamir_threshold).filter(|&threshold| threshold > 0);
        let selection = fitting(metadata.selection.clone(), store);
        let mac_only = metadata.mac_only_encrypted;
        Sealing::new(&metadata.key_groups, threshold, selection, mac_only, config)
    });
    Ok(FileReport { sealing, fates })
}

/// The rule as it fits the files of a store: what is nothing but bytes is sealed as a whole.
fn fitting(rule: SelectionRule, store: &dyn Store) -> SelectionRule {
    if store.envelope().is_some() { SelectionRule::All } else { rule }
}

/// A file, plain or sealed. What is nothing but bytes is plain unless it is the envelope of a sealed file.
fn read(text: SecretText, store: &dyn Store) -> Result<(Document, Option<Metadata>), FileError> {
    let sealed = |document: Document| match store.metadata(&document)? {
        Some(tree) => Ok((document, Some(Metadata::from_tree(&tree)?))),
        None => Ok((document, None)),
    };
    if store.envelope().is_none() {
        return sealed(store.parse(text)?);
    }
    let bytes = SecretText::copy_of(text.expose());
    match store.parse(text).map_err(FileError::from).and_then(sealed) {
        Ok((document, Some(metadata))) => Ok((document, Some(metadata))),
        _ => Ok((store.parse_plain(bytes)?, None)),
    }
}

impl Sealing {
    fn new(
        groups: &[KeyGroup],
        threshold: Option<usize>,
        selection: SelectionRule,
        mac_only_encrypted: bool,
        config: Option<&Config>,
    ) -> Self {
        let recipient = |key: &MasterKey| Recipient {
            key: key.clone(),
            name: config.and_then(|config| name_in(config.text(), &key.to_string())),
        };
        Self {
            groups: groups.iter().map(|group| group.keys().map(recipient).collect()).collect(),
            needed: threshold.unwrap_or(groups.len()),
            selection,
            mac_only_encrypted,
        }
    }

    /// Whether both have the same keys in each group, in whatever order.
    pub fn has_keys_of(&self, other: &Sealing) -> bool {
        let sets = |sealing: &Sealing| -> Vec<Vec<String>> {
            let names = |group: &Vec<Recipient>| {
                let mut names: Vec<String> = group.iter().map(|member| member.key.to_string()).collect();
                names.sort();
                names.dedup();
                names
            };
            sealing.groups.iter().map(names).collect()
        };
        sets(self) == sets(other)
    }
}

/// What the text of a config file calls a key: the comment behind it, else its anchor, else the comment above it.
fn name_in(text: &str, key: &str) -> Option<String> {
    let mut above: Option<&str> = None;
    for line in text.lines() {
        let (code, remark) = match line.split_once(" #") {
            Some((code, remark)) => (code, Some(remark)),
            None => (line, None),
        };
        if let Some(comment) = line.trim_start().strip_prefix('#') {
            above = Some(comment);
            continue;
        }
        if names(code, key) {
            let before = code.split(key).next().unwrap_or_default();
            let anchor = || before.split_whitespace().find_map(|word| word.strip_prefix('&'));
            // Behind a list of keys, or above a whole rule, a comment names none of them.
            let is_alone = !code.contains(',');
            let is_item = is_alone && before.trim_start().starts_with('-') && !before.contains(':');
            let name = remark.filter(|_| is_alone).or_else(anchor).or(above.filter(|_| is_item));
            if let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) {
                return Some(name.to_owned());
            }
        }
        above = None;
    }
    None
}

/// Whether `key` stands in `code` as a whole.
fn names(code: &str, key: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
    code.match_indices(key)
        .any(|(at, _)| !code[..at].ends_with(is_part) && !code[at + key.len()..].starts_with(is_part))
}

/// Where the lines of a text start.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &[u8]) -> Self {
        let breaks = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        Self(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
    }

    fn line_of(&self, offset: usize) -> usize {
        self.0.partition_point(|&start| start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_called_what_stands_behind_it_else_its_anchor_else_what_stands_above() {
        let text = "\
keys:
  # Alice
  - age1alice
  - &bob age1bob
  - &carol age1carol # Carol, laptop

  - age1dave
rules:
  # matches: anything
  - age: age1erin,age1frank
  - age: age1dave # Dave
";
        assert_eq!(name_in(text, "age1alice").as_deref(), Some("Alice"));
        assert_eq!(name_in(text, "age1bob").as_deref(), Some("bob"));
        assert_eq!(name_in(text, "age1carol").as_deref(), Some("Carol, laptop"));
        assert_eq!(name_in(text, "age1dave").as_deref(), Some("Dave"), "the first place with a name");
        assert_eq!(name_in(text, "age1erin"), None, "a comment above a rule names no key");
        assert_eq!(name_in(text, "age1ali"), None, "part of a key is another key");
    }

    #[test]
    fn lines_count_from_one() {
        let lines = LineStarts::of(b"a\nb\n\nc");
        assert_eq!([0, 1, 2, 4, 5].map(|at| lines.line_of(at)), [1, 1, 2, 3, 4]);
    }
}
