//! `orlop rotate`: a sealed file with a new data key, and with keys added or removed.

use orlop::simple::{self, MacCheck};

use crate::args::Rotate;
use crate::commands::source::{Source, exists};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::{rules, ui};

pub(crate) fn run(context: &Context, args: Rotate) -> Result<(), CommandError> {
    run_with(context, args, MacCheck::Required)
}

pub(crate) fn run_with(context: &Context, args: Rotate, mac: MacCheck) -> Result<(), CommandError> {
    let source = Source::of(&args.words.words, args.output)?;
    let Some(file) = source.file.clone() else { return Err(CommandError::no_file("no file specified")) };
    let change = rules::key_change(&args.changes, args.encryption_context.as_deref())?;
    if !change.is_empty() && !exists(&file) {
        return Err(cannot_change_keys(&file));
    }
    let config = context.config(source.name.as_deref())?;
    let (store, printing) = source.printing(context, config.as_ref(), &args.input)?;
    let unlocking = &args.unlocking;
    let keyring = context.keyring(&unlocking.services, unlocking.decryption_order.as_deref(), Some(&file))?;

    let (text, sink) = source.read()?;
    let failed =
        |error: simple::SimpleError| CommandError::from(error).doing("rotate the data key of", &file);
    let opened = simple::open_to_rotate(text, store, &keyring, mac).map_err(failed)?;
    ui::warn_odd_comments(&file, opened.odd_comments());
    sink.write(&opened.rotate(change, &keyring, printing).map_err(failed)?)
}

/// Keys were to be added to or removed from a file that is not there.
pub(crate) fn cannot_change_keys(file: &std::path::Path) -> CommandError {
    let message = format!("cannot add or remove keys on non-existent file {:?}", file.display().to_string());
    CommandError::new(Kind::CannotChangeKeysFromNonExistentFile, message)
        .hint("name the keys of a new file with --age and its siblings")
}
