//! The form that sops had before it had commands: `orlop -d file`.

use std::path::PathBuf;

use crate::args::{Decrypt, Edit, Encrypt, LegacyForm, Rotate};
use crate::commands::set::{ValueChange, value_of};
use crate::commands::source::{exists, no_such_file, warn_of_surplus};
use crate::commands::{decrypt, edit, encrypt, rotate};
use crate::context::{Context, absolute};
use crate::error::{CommandError, Kind};
use crate::rules::Form;

use orlop::{SecretText, TreePath};

pub(crate) fn run(context: &Context, form: LegacyForm) -> Result<(), CommandError> {
    let Some(file) = form.words.words.first().map(PathBuf::from) else {
        return Err(CommandError::no_file("no file specified"));
    };
    let mode = Mode::of(&form)?;
    if form.output.in_place && form.output.output.is_some() {
        return Err(CommandError::conflict("cannot operate on both --output and --in-place"));
    }
    if !exists(&file) {
        let mut changes = form.changes.added.iter().chain(&form.changes.removed);
        if changes.any(Option::is_some) {
            return Err(rotate::cannot_change_keys(&file));
        }
        if matches!(mode, Mode::Decrypt | Mode::Encrypt | Mode::Rotate) {
            return Err(no_such_file(&file));
        }
    }
    let name = form.output.filename_override.as_ref().map_or_else(|| file.clone(), PathBuf::from);
    if mode != Mode::Decrypt {
        // sops: a config file without a rule for the file stops everything but decrypting.
        if let Some(config) = context.config(Some(&name))? {
            config.rule_for(&absolute(&name)?).map_err(CommandError::config)?;
        }
    }
    match mode {
        Mode::Decrypt => decrypt::run(
            context,
            Decrypt {
                output: form.output,
                extract: form.extract,
                input: form.input,
                mac: form.mac,
                unlocking: form.unlocking,
                words: form.words,
            },
        ),
        Mode::Encrypt => encrypt::run_in_form(
            context,
            Encrypt {
                output: form.output,
                recipients: form.recipients,
                input: form.input,
                selecting: form.selecting,
                services: form.unlocking.services,
                words: form.words,
            },
            Form::Legacy,
        ),
        Mode::Rotate => rotate::run_with(
            context,
            Rotate {
                output: form.output,
                input: form.input,
                changes: form.changes,
                encryption_context: form.recipients.terms.encryption_context,
                unlocking: form.unlocking,
                words: form.words,
            },
            decrypt::mac_check(form.mac.ignore_mac),
        ),
        Mode::Set => {
            warn_of_surplus(&form.words.words);
            let (path, value) = split_set(form.set.as_deref().unwrap_or_default())?;
            ValueChange { file, name, path, value: value_of(&value)?, is_idempotent: false }.apply(
                context,
                &form.input,
                &form.mac,
                &form.unlocking,
            )
        }
        Mode::Edit => edit::run_as(
            context,
            Edit {
                recipients: form.recipients,
                input: form.input,
                selecting: form.selecting,
                show_master_keys: form.show_master_keys,
                mac: form.mac,
                unlocking: form.unlocking,
                words: form.words,
            },
            Some(name),
            Form::Legacy,
        ),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Decrypt,
    Encrypt,
    Rotate,
    Set,
    Edit,
}

impl Mode {
    fn of(form: &LegacyForm) -> Result<Self, CommandError> {
        let asked = [
            (form.encrypt, Mode::Encrypt),
            (form.decrypt, Mode::Decrypt),
            (form.rotate, Mode::Rotate),
            (form.set.is_some(), Mode::Set),
        ];
        let mut asked = asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, mode)| mode);
        match (asked.next(), asked.next()) {
            (None, _) => Ok(Mode::Edit),
            (Some(mode), None) => Ok(mode),
            // sops runs them all and shows the last one's result.
            (Some(_), Some(_)) => {
                Err(CommandError::conflict("only one of -e, -d, -r and --set can be done at a time"))
            }
        }
    }
}

/// The two parts of `--set '["a"][0] value'`.
fn split_set(text: &str) -> Result<(TreePath, SecretText), CommandError> {
    let invalid = |reason: String| {
        CommandError::new(Kind::InvalidSetFormat, format!("Invalid --set format{reason}"))
            .hint("--set '[\"key\"][0] \"value\"'")
    };
    let at = text.find("] ").ok_or_else(|| invalid(String::new()))?;
    let path = TreePath::parse(&text[..=at]).map_err(|error| invalid(format!(": {error}")))?;
    Ok((path, SecretText::copy_of(&text.as_bytes()[at + 2..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_legacy_set_begins_behind_the_first_bracket_and_blank() {
        let (path, value) = split_set(r#"["a b"][0] "x] y""#).unwrap();
        assert_eq!(path, TreePath::parse(r#"["a b"][0]"#).unwrap());
        assert_eq!(value.expose(), br#""x] y""#);
        assert_eq!(split_set(r#"["a"]"#).err().unwrap().kind, Kind::InvalidSetFormat);
        assert_eq!(split_set("[x] 1").err().unwrap().kind, Kind::InvalidSetFormat);
    }
}
