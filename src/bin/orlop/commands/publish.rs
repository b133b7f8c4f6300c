//! `orlop publish`: sealed files copied to where the destination rules of the config file say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orlop::config::DestinationRule;
use orlop::net::Net;
use orlop::publish::{Destination, Outcome, Publisher, VaultPlace};
use orlop::simple::{self, MacCheck, Printing, SimpleError};
use orlop::store::Store;
use orlop::{Config, Keyring, Metadata, SecretText};

use crate::args::Publish;
use crate::commands::source::{exists, no_such_file, warn_of_surplus};
use crate::context::{Context, absolute, store_for};
use crate::error::{CommandError, Kind};
use crate::{io, ui};

pub(crate) fn run(context: &Context, args: Publish) -> Result<(), CommandError> {
    let words = &args.words.words;
    let config = context.config(words.first().map(Path::new))?.ok_or_else(|| {
        CommandError::new(Kind::Generic, "config file not found")
            .hint("publish goes where the destination_rules of .sops.yaml say")
    })?;
    let Some(root) = words.first().map(PathBuf::from) else {
        return Err(CommandError::no_file("Error: no file specified"));
    };
    warn_of_surplus(words);
    if !exists(&root) {
        return Err(CommandError { kind: Kind::Generic, ..no_such_file(&root) });
    }
    if root.is_dir() && !args.recursive {
        let message = "can't operate on a directory without --recursive flag.";
        return Err(CommandError::new(Kind::Generic, message));
    }
    let order = args.unlocking.decryption_order.as_deref();
    let keyring = context.keyring(&args.unlocking.services, order, None)?;
    let publisher = Publisher::new(context.env.clone(), Arc::new(Net::default()));
    for file in files_below(&root)? {
        let keyring = keyring.for_file(&file);
        One { context, args: &args, config: &config, root: &root, file: &file, keyring }
            .publish(&publisher)?;
    }
    Ok(())
}

/// The files at and below `root` by name, as Go walks them: links to folders are no folders.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, CommandError> {
    if !root.is_dir() {
        return Ok(vec![root.to_owned()]);
    }
    let failed = |error: std::io::Error| CommandError::reading(root.display(), &error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        entries.push((entry.path(), entry.file_type().map_err(failed)?.is_dir()));
    }
    entries.sort();
    let mut files = Vec::new();
    for (path, is_folder) in entries {
        match is_folder {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

/// One file to publish.
struct One<'a> {
    context: &'a Context,
    args: &'a Publish,
    config: &'a Config,
    root: &'a Path,
    file: &'a Path,
    keyring: Keyring,
}

impl One<'_> {
    fn publish(self, publisher: &Publisher) -> Result<(), CommandError> {
        let rule = self.config.destination_for(&self.file.to_string_lossy()).map_err(CommandError::config)?;
        let destination = self.destination(rule).ok_or_else(|| {
            let message = format!("no destination configured for this file: {}", self.file.display());
            CommandError::new(Kind::Generic, message)
                .hint("the rule that matches it has neither s3_bucket, gcs_bucket nor vault_path")
        })?;
        let name = self.name(rule);
        let text = self.text(rule, &destination)?;
        let path = absolute(self.file)?;
        let shown = destination.path(&name);
        if !self.args.yes {
            let question = format!("uploading {} to {shown} ?", path.display());
            let answer = ui::ask(&question).map_err(|error| {
                CommandError::new(Kind::Generic, format!("cannot publish {}: {error}", path.display()))
                    .hint("--yes answers the question beforehand")
            })?;
            if !answer {
                let message = format!("Publication of {} canceled", path.display());
                if !self.args.recursive {
                    return Err(CommandError::new(Kind::Generic, message));
                }
                ui::print_line(message);
                return Ok(());
            }
        }
        let outcome = publisher.upload(&destination, &name, text).map_err(|error| {
            CommandError::new(Kind::Generic, format!("cannot publish {}: {error}", path.display()))
        })?;
        match &outcome {
            Outcome::UploadedUnseen(reason) => {
                ui::warn(format_args!("cannot tell whether {shown} has changed: {reason}"));
            }
            Outcome::Unchanged => ui::note(format_args!("{shown} is already up to date")),
            Outcome::Uploaded => {}
        }
        Ok(())
    }

    fn destination(&self, rule: &DestinationRule) -> Option<Destination> {
        let (bucket, prefix) = (&rule.s3_bucket, &rule.s3_prefix);
        if !bucket.is_empty() {
            return Some(Destination::S3 { bucket: bucket.clone(), prefix: prefix.clone() });
        }
        let (bucket, prefix) = (&rule.gcs_bucket, &rule.gcs_prefix);
        if !bucket.is_empty() {
            return Some(Destination::Gcs { bucket: bucket.clone(), prefix: prefix.clone() });
        }
        (!rule.vault_path.is_empty()).then(|| {
            Destination::Vault(VaultPlace::new(
                &rule.vault_address,
                &rule.vault_path,
                &rule.vault_kv_mount_name,
                rule.vault_kv_version,
                &self.context.env,
            ))
        })
    }

    /// What the file is called at its destination: its path below the folder that was named, or its name.
    fn name(&self, rule: &DestinationRule) -> String {
        let below = self.file.strip_prefix(self.root).ok();
        let below = below.filter(|path| self.args.recursive && !path.as_os_str().is_empty());
        let name = below.or_else(|| self.file.file_name().map(Path::new)).unwrap_or(self.file);
        let without_extension = match self.args.omit_extensions || rule.omit_extensions {
            true => without_extension(&name.to_string_lossy()),
            false => name.to_string_lossy().into_owned(),
        };
        without_extension.replace(std::path::MAIN_SEPARATOR, "/")
    }

    /// What is to be uploaded: the values for Vault; else the file, for the keys of the rule if it has any.
    fn text(&self, rule: &DestinationRule, destination: &Destination) -> Result<SecretText, CommandError> {
        let failed = |error: SimpleError| CommandError::from(error).doing("publish", self.file);
        let store = store_for(self.context.name, None, Some(self.file));
        let text = io::read(self.file)?;
        let copy = || SecretText::copy_of(text.expose());
        if matches!(destination, Destination::Vault(_)) {
            let opened = simple::open(copy(), store, &self.keyring, MacCheck::Required).map_err(failed)?;
            return opened.values_in_json().map_err(failed);
        }
        let groups = rule.recreation_rule.key_groups().map_err(CommandError::config)?;
        if groups.first().is_some_and(|group| group.keys().next().is_some()) {
            return self.recreated(copy(), store, rule);
        }
        // sops: what is no sealed file is not published.
        simple::plan_key_update(copy(), store, Vec::new()).map_err(failed)?;
        Ok(text)
    }

    /// The file with a new data key for the keys of the recreation rule.
    ///
    /// Which values are sealed follows from the rule, or from the file where the rule does not say. sops forgets
    /// expressions and `mac_only_encrypted`: values that the rule wants sealed may lie in clear at the destination.
    fn recreated(
        &self,
        text: SecretText,
        store: &'static dyn Store,
        rule: &DestinationRule,
    ) -> Result<SecretText, CommandError> {
        let failed = |error: SimpleError| CommandError::from(error).doing("publish", self.file);
        let recreation = &rule.recreation_rule;
        let opened = simple::open(text, store, &self.keyring, MacCheck::Required).map_err(failed)?;
        ui::warn_odd_comments(self.file, opened.odd_comments());
        let groups = recreation.key_groups().map_err(CommandError::config)?;
        let before = opened.metadata();
        let changes = simple::compare_groups(&before.key_groups, &groups);
        if changes.iter().any(|change| !change.added.is_empty() || !change.removed.is_empty()) {
            ui::print_line("The following changes will be made to the file's key groups:");
            ui::show_group_changes(&changes, ui::is_colourful(&self.context.env));
        }
        let selection = recreation.selection().map_err(CommandError::config)?;
        let mut metadata = Metadata::new(groups, selection.unwrap_or_else(|| before.selection.clone()));
        metadata.mac_only_encrypted = recreation.mac_only_encrypted() || before.mac_only_encrypted;
        metadata.shamir_threshold = usize::try_from(recreation.shamir_threshold().unwrap_or(0))
            .map_err(|_| CommandError::new(Kind::Generic, "the Shamir threshold cannot be negative"))?;
        let (style, _) = self.context.style(Some(self.config), store.format())?;
        let printing = Printing { store, style, reprint: false };
        let plain = opened.plain_text(printing).map_err(failed)?;
        simple::encrypt(plain, store, metadata, &self.keyring, printing)
            .map(|sealed| sealed.text)
            .map_err(failed)
    }
}

/// sops: what follows the last dot of the name, with the dot, even where nothing stands before it.
fn without_extension(path: &str) -> String {
    let start = path.rfind(std::path::MAIN_SEPARATOR).map_or(0, |at| at + 1);
    match path[start..].rfind('.') {
        Some(at) => path[..start + at].to_owned(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_what_follows_the_last_dot_of_the_name() {
        for (path, without) in
            [("a.yaml", "a"), ("a/b.enc.yaml", "a/b.enc"), ("a.b/c", "a.b/c"), (".env", ""), ("a", "a")]
        {
            assert_eq!(without_extension(path), without);
        }
    }
}
