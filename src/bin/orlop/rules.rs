//! Who may open a new file and which of its values are sealed: flags over variables over the config file.

use std::collections::BTreeMap;
use std::path::Path;

use orlop::provider::{PROVIDERS, aws};
use orlop::selection::{SelectionOptions, SelectionRule};
use orlop::simple::KeyChange;
use orlop::store::Store;
use orlop::{Config, KeyGroup, MasterKey, Metadata};

use crate::args::{KeyChanges, Recipients, Selecting};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::ui;

/// In which form of the command line the keys were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// With a command.
    Command,
    /// With flags only. sops: only then an encryption context holds for the AWS keys of a creation rule too.
    Legacy,
}

/// The metadata of a new file at `file`, which is absolute.
pub(crate) fn metadata_for(
    context: &Context,
    config: Option<&Config>,
    file: &Path,
    recipients: &Recipients,
    selecting: &Selecting,
    form: Form,
) -> Result<Metadata, CommandError> {
    let rule = match config {
        Some(config) => config.rule_for(file).map_err(CommandError::config)?,
        None => None,
    };
    let configured = match rule {
        Some(rule) => rule.selection().map_err(CommandError::config)?,
        None => None,
    };
    let selection = selection(selecting, configured)?;
    let encryption_context = encryption_context(recipients.terms.encryption_context.as_deref());
    let groups = if recipients.keys.iter().any(Option::is_some) {
        vec![group_of_flags(recipients, &encryption_context?)?]
    } else if let Some(rule) = rule {
        let context = match form {
            Form::Legacy => encryption_context?,
            Form::Command => encryption_context.map(|_| BTreeMap::new())?,
        };
        rule.key_groups_in_context(&context).map_err(CommandError::config)?
    } else {
        let message = "config file not found, or has no creation rules, and no keys provided through command line options";
        return Err(CommandError::new(Kind::Generic, message)
            .hint("name who can open the file: --age age1…, or a .sops.yaml with creation_rules"));
    };
    let asked = recipients.terms.shamir_secret_sharing_threshold.filter(|&threshold| threshold != 0);
    let threshold = asked.or_else(|| rule.and_then(orlop::CreationRule::shamir_threshold)).unwrap_or(0);
    let mut metadata = Metadata::new(groups, selection);
    metadata.shamir_threshold = usize::try_from(threshold)
        .map_err(|_| CommandError::new(Kind::Generic, "the Shamir threshold cannot be negative"))?;
    metadata.mac_only_encrypted =
        context.mac_only_encrypted() || rule.is_some_and(orlop::CreationRule::mac_only_encrypted);
    Ok(metadata)
}

/// The metadata as it fits the files of a store: what is nothing but bytes is sealed as a whole.
pub(crate) fn fitting(mut metadata: Metadata, store: &dyn Store) -> Metadata {
    if store.envelope().is_some() {
        if metadata.selection != SelectionRule::default() {
            ui::warn(
                "a rule for which values are encrypted has no meaning for a binary file, and is ignored",
            );
        }
        metadata.selection = SelectionRule::All;
        metadata.mac_only_encrypted = false;
    }
    metadata
}

fn selection(flags: &Selecting, configured: Option<SelectionRule>) -> Result<SelectionRule, CommandError> {
    let given = SelectionRule::from_options(SelectionOptions {
        unencrypted_suffix: flags.unencrypted_suffix.clone(),
        encrypted_suffix: flags.encrypted_suffix.clone(),
        unencrypted_regex: flags.unencrypted_regex.clone(),
        encrypted_regex: flags.encrypted_regex.clone(),
        unencrypted_comment_regex: flags.unencrypted_comment_regex.clone(),
        encrypted_comment_regex: flags.encrypted_comment_regex.clone(),
    })
    .map_err(|error| CommandError::conflict(error.to_string()))?;
    match (given, configured) {
        (Some(given), Some(configured))
            if std::mem::discriminant(&given) != std::mem::discriminant(&configured) =>
        {
            Err(CommandError::conflict(
                "cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, \
                 unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex: one is given by a flag, \
                 another by the config file",
            ))
        }
        (given, configured) => Ok(given.or(configured).unwrap_or_default()),
    }
}

type EncryptionContext = BTreeMap<String, Option<String>>;

fn encryption_context(text: Option<&str>) -> Result<EncryptionContext, CommandError> {
    aws::parse_context(text.unwrap_or_default()).map_err(|error| {
        let message = format!("Invalid KMS encryption context format: {error}");
        CommandError::new(Kind::InvalidKmsEncryptionContext, message)
    })
}

fn group_of_flags(recipients: &Recipients, context: &EncryptionContext) -> Result<KeyGroup, CommandError> {
    let profile = recipients.terms.aws_profile.as_deref().unwrap_or_default();
    Ok(KeyGroup::of_keys(keys(&recipients.keys, "", context, profile)?))
}

fn keys(
    lists: &[Option<String>; PROVIDERS.len()],
    prefix: &str,
    context: &EncryptionContext,
    profile: &str,
) -> Result<Vec<MasterKey>, CommandError> {
    let mut keys = Vec::new();
    for (provider, list) in PROVIDERS.iter().zip(lists) {
        let list = list.as_deref().unwrap_or_default();
        let parsed = provider
            .parse_keys(list)
            .map_err(|error| CommandError::key_text(&format!("{prefix}{}", provider.flag), error))?;
        keys.extend(parsed.into_iter().map(|key| match key {
            MasterKey::Kms(key) => MasterKey::Kms(key.with(context.clone(), profile)),
            other => other,
        }));
    }
    Ok(keys)
}

/// The key group that lists of key texts name, one list for each row of [`PROVIDERS`].
pub(crate) fn group_of_lists(
    lists: &[Vec<String>; PROVIDERS.len()],
    context: Option<&str>,
    profile: &str,
) -> Result<KeyGroup, CommandError> {
    let context = encryption_context(context)?;
    let texts = lists.each_ref().map(|texts| Some(texts.join(",")).filter(|text| !text.is_empty()));
    Ok(KeyGroup::of_keys(keys(&texts, "", &context, profile)?))
}

/// The keys that `rotate` adds and removes.
pub(crate) fn key_change(
    changes: &KeyChanges,
    encryption_context_text: Option<&str>,
) -> Result<KeyChange, CommandError> {
    let context = encryption_context(encryption_context_text)?;
    Ok(KeyChange {
        added: keys(&changes.added, "add-", &context, "")?,
        removed: keys(&changes.removed, "rm-", &context, "")?,
    })
}
