//! `orlop explain`: which rule holds for a file, who can open it, and which of its values are encrypted.

use std::path::{Path, PathBuf};

use orlop::explain::{self, FileReport, RuleReport, Sealing};
use orlop::selection::SelectionRule;

use crate::args::Explain;
use crate::context::{Context, absolute, store_for};
use crate::error::{CommandError, Kind};
use crate::{io, ui};

pub(crate) fn run(context: &Context, args: &Explain) -> Result<(), CommandError> {
    let Some(file) = args.words.words.first().map(PathBuf::from) else {
        return Err(CommandError::no_file("no file specified").hint("orlop explain FILE"));
    };
    let config = context.config(Some(&file))?;
    let store = store_for(context.name, args.input_type.as_deref(), Some(&file));
    let by_rule = match &config {
        Some(config) => {
            Some(explain::rule_for(config, &absolute(&file)?, store).map_err(CommandError::config))
        }
        None => None,
    };
    let planned = match &by_rule {
        Some(Ok(RuleReport { sealing: Some(sealing), .. })) => sealing.selection.clone(),
        _ => SelectionRule::default(),
    };
    let report = match file.exists() {
        true => Some(explain::file(io::read(&file)?, store, &planned, config.as_ref()).map_err(|error| {
            CommandError::new(Kind::Generic, format!("cannot read {}: {error}", file.display()))
        })?),
        false => None,
    };

    show_file(&file, store.format().name(), report.as_ref());
    match by_rule {
        None => line("config", "none found; keys can be given by flags only"),
        Some(Err(error)) => {
            line("rule", &error.message);
            line("", "the file cannot be encrypted, nor its keys updated, until a rule matches");
        }
        Some(Ok(rule)) => show_rule(&rule, report.as_ref()),
    }
    if let Some(report) = report {
        show_values(&report);
    }
    Ok(())
}

/// One line of the report; a continuation has no title.
fn line(title: &str, text: &str) {
    ui::print_line(format_args!("{title:<10}  {text}").to_string().trim_end());
}

fn show_file(file: &Path, format: &str, report: Option<&FileReport>) {
    let state = match report {
        None => "not there yet",
        Some(FileReport { sealing: None, .. }) => "not encrypted",
        Some(_) => "encrypted",
    };
    line("file", &format!("{} ({format}, {state})", file.display()));
    if let Some(sealing) = report.and_then(|report| report.sealing.as_ref()) {
        show_sealing(sealing);
    }
}

fn show_rule(rule: &RuleReport, report: Option<&FileReport>) {
    line("config", &rule.config.display().to_string());
    for (place, pattern) in &rule.passed_over {
        line("", &format!("{place} is not it: path_regex {pattern} does not match {}", rule.file));
    }
    let Some((place, pattern)) = &rule.rule else {
        return line("rule", "none: the config file has no creation_rules");
    };
    let why = match pattern.as_str() {
        "" => "without a path_regex it holds for every file".to_owned(),
        pattern => format!("path_regex {pattern} matches {}", rule.file),
    };
    line("rule", &format!("{place}: {why}"));
    let Some(wanted) = &rule.sealing else { return };
    match report.and_then(|report| report.sealing.as_ref()) {
        None => show_sealing(wanted),
        Some(is) if !is.has_keys_of(wanted) => {
            line("", "its keys are others than those of the file, which `orlop updatekeys` would change to:");
            show_recipients(wanted);
        }
        Some(_) => line("", "its keys are those of the file"),
    }
    if let Some(is) = report.and_then(|report| report.sealing.as_ref())
        && is.selection != wanted.selection
    {
        line("", "its choice of values is another one than the file's, which keeps its own");
    }
}

fn show_sealing(sealing: &Sealing) {
    show_recipients(sealing);
    line("encrypts", &choice(&sealing.selection));
    if sealing.mac_only_encrypted {
        line("", "changes to values in clear go unnoticed: the MAC covers encrypted ones only");
    }
}

fn show_recipients(sealing: &Sealing) {
    let many = sealing.groups.len() > 1;
    let mut title = "opened by";
    if many {
        line(title, &format!("any {} of {} groups, one key of each", sealing.needed, sealing.groups.len()));
        title = "";
    }
    for (number, group) in sealing.groups.iter().enumerate() {
        if many {
            line("", &format!("group {}", number + 1));
        }
        for member in group {
            let name = member.name.as_ref().map(|name| format!("  ({name})")).unwrap_or_default();
            let kind = member.key.provider().human_name;
            line(std::mem::take(&mut title), &format!("{kind} {}{name}", member.key));
        }
    }
    if sealing.groups.iter().all(Vec::is_empty) {
        line(title, "no key: name keys in the rule, or by flags");
    }
}

fn choice(rule: &SelectionRule) -> String {
    match rule {
        SelectionRule::UnencryptedSuffix(suffix) => {
            format!("all but what is under keys that end in {suffix}")
        }
        SelectionRule::EncryptedSuffix(suffix) => format!("what is under keys that end in {suffix}"),
        SelectionRule::UnencryptedRegex(regex) => format!("all but what is under keys that match {regex}"),
        SelectionRule::EncryptedRegex(regex) => format!("what is under keys that match {regex}"),
        SelectionRule::UnencryptedCommentRegex(regex) => {
            format!("all but what stands behind comments that match {regex}")
        }
        SelectionRule::EncryptedCommentRegex(regex) => {
            format!("what stands behind comments that match {regex}")
        }
        SelectionRule::All => "everything".to_owned(),
    }
}

fn show_values(report: &FileReport) {
    let sealed = report.fates.iter().filter(|fate| fate.sealed).count();
    let would_be = if report.sealing.is_some() { "" } else { "would be " };
    line("values", &format!("{would_be}encrypted: {sealed} of {}", report.fates.len()));
    for fate in &report.fates {
        let state = if fate.sealed { "encrypted" } else { "clear" };
        let what = if fate.is_comment { "  (comment)" } else { "" };
        line("", &format!("{state:<9}  line {:<4} {}{what}", fate.line, fate.path));
    }
}
