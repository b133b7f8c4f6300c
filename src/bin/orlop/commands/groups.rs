//! `orlop groups`: key groups added to a sealed file and taken out of it, the data key split anew among all of them.

use std::path::{Path, PathBuf};

use orlop::SecretText;
use orlop::simple::{self, GroupsError, SimpleError};

use crate::args::{GroupsAdd, GroupsCommand, GroupsDelete, Regrouping};
use crate::context::{Context, store_for};
use crate::error::{CommandError, Kind};
use crate::io::{self, HeldFile, Sink};
use crate::rules;

pub(crate) fn run(context: &Context, command: GroupsCommand) -> Result<(), CommandError> {
    match command {
        GroupsCommand::Add(args) => add(context, *args),
        GroupsCommand::Delete(args) => delete(context, &args),
    }
}

fn add(context: &Context, args: GroupsAdd) -> Result<(), CommandError> {
    if !args.regrouping.words.words.is_empty() {
        let message = "groups add takes no words besides its flags";
        return Err(CommandError::usage(message).hint("name the file with --file"));
    }
    let profile = args.aws_profile.as_deref().unwrap_or_default();
    let group = rules::group_of_lists(&args.keys.keys, args.encryption_context.as_deref(), profile)?;
    change(context, &args.regrouping, "add a key group to", |text, regrouping| {
        let Surroundings { store, keyring, style, threshold } = regrouping;
        simple::add_group(text, store, group, threshold, &keyring, style).map_err(GroupsError::Keys)
    })
}

fn delete(context: &Context, args: &GroupsDelete) -> Result<(), CommandError> {
    let [number] = &args.regrouping.words.words[..] else {
        return Err(CommandError::usage("groups delete takes exactly one word, the number of the group")
            .hint("groups are counted from 0: orlop groups delete --file FILE 0"));
    };
    let number = number.to_string_lossy();
    let index = number.parse::<u32>().ok().filter(|_| !number.starts_with('+'));
    let index = index.and_then(|index| usize::try_from(index).ok());
    let index =
        index.ok_or_else(|| CommandError::usage(format!("{number:?} is not the number of a key group")))?;
    change(context, &args.regrouping, "delete a key group of", |text, regrouping| {
        let Surroundings { store, keyring, style, threshold } = regrouping;
        simple::delete_group(text, store, index, threshold, &keyring, style)
    })
}

/// What a change of groups needs besides the text.
struct Surroundings {
    store: &'static dyn orlop::store::Store,
    keyring: orlop::Keyring,
    style: orlop::store::Style,
    threshold: usize,
}

fn change(
    context: &Context,
    args: &Regrouping,
    what: &str,
    regroup: impl FnOnce(SecretText, Surroundings) -> Result<SecretText, GroupsError>,
) -> Result<(), CommandError> {
    let Some(file) = args.file.as_ref().map(PathBuf::from) else {
        return Err(CommandError::new(Kind::CouldNotReadInputFile, "no file specified")
            .hint("name the file with --file"));
    };
    let threshold = usize::try_from(args.shamir_secret_sharing_threshold.unwrap_or(0))
        .map_err(|_| CommandError::usage("the Shamir threshold cannot be negative"))?;
    let config = context.config(Some(&file))?;
    let store = store_for(context.name, None, Some(&file));
    let (style, _) = context.style(config.as_ref(), store.format())?;
    let keyring = context.keyring_in_file_order(&args.services, Some(&file))?;
    let (text, sink) = match args.in_place {
        true => HeldFile::read(&file).map(|(text, held)| (text, Sink::InPlace(held)))?,
        false => (io::read(&file)?, Sink::Stdout),
    };
    let regrouped = regroup(text, Surroundings { store, keyring, style, threshold });
    sink.write(&regrouped.map_err(|error| described(error, what, &file))?)
}

/// sops: whatever goes wrong here, the exit code is 1.
fn described(error: GroupsError, what: &str, file: &Path) -> CommandError {
    let error = match error {
        GroupsError::Keys(SimpleError::Wrap(error)) => {
            // Not literal here: the text that scripts compare belongs to new files.
            let error = CommandError::from(SimpleError::Wrap(error));
            CommandError { is_literal: false, ..error }
        }
        GroupsError::Keys(error) => CommandError::from(error),
        error @ GroupsError::TooFew { .. } => CommandError::new(Kind::Generic, error.to_string())
            .hint("lower the threshold with --shamir-secret-sharing-threshold"),
        error => CommandError::new(Kind::Generic, error.to_string()),
    };
    CommandError { kind: Kind::Generic, ..error }.doing(what, file)
}
