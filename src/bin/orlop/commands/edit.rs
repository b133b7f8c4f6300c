//! `orlop edit`: a sealed file in the user's editor, or a new one.

use std::path::{Path, PathBuf};

use orlop::simple::{self, Printing, SimpleError};
use orlop::store::Store;
use orlop::{Keyring, SecretText};

use crate::args::Edit;
use crate::commands::decrypt::mac_check;
use crate::commands::source::{exists, stores, warn_of_surplus};
use crate::context::{Context, Name, absolute};
use crate::editor::EditSession;
use crate::error::{CommandError, Kind};
use crate::io::{self, HeldFile};
use crate::rules::{self, Form};
use crate::ui;

pub(crate) fn run(context: &Context, args: Edit) -> Result<(), CommandError> {
    run_as(context, args, None, Form::Command)
}

/// Edits with `name` in place of the file's own when types and rules are looked up.
pub(crate) fn run_as(
    context: &Context,
    args: Edit,
    name: Option<PathBuf>,
    form: Form,
) -> Result<(), CommandError> {
    warn_of_surplus(&args.words.words);
    let Some(file) = args.words.words.first().map(PathBuf::from) else {
        return Err(CommandError::no_file("no file specified"));
    };
    let name = name.unwrap_or_else(|| file.clone());
    let config = context.config(Some(&name))?;
    let (store, printing) = stores(context, config.as_ref(), &args.input, Some(&name))?;
    let unlocking = &args.unlocking;
    let keyring = context.keyring(&unlocking.services, unlocking.decryption_order.as_deref(), Some(&file))?;
    if exists(&file) {
        return edit_existing(context, &args, &file, store, printing, &keyring);
    }
    io::ensure_replaceable(&file)?;
    let name = absolute(&name)?;
    let metadata =
        rules::metadata_for(context, config.as_ref(), &name, &args.recipients, &args.selecting, form)?;
    let metadata = rules::fitting(metadata, store);
    let new_file = simple::prepare(metadata, &keyring)
        .map_err(|error| CommandError { kind: Kind::CouldNotRetrieveKey, ..CommandError::from(error) })?;
    let example = SecretText::copy_of(store.example().as_bytes());
    let sealed = edited(context, &file, &example, |text| new_file.seal(text, store, printing).map(Some))?;
    save(&file, &sealed, || match exists(&file) {
        true => Ok(false),
        false => io::write_file(&file, sealed.expose()).map(|()| true),
    })
}

fn edit_existing(
    context: &Context,
    args: &Edit,
    file: &Path,
    store: &'static dyn Store,
    printing: Printing,
    keyring: &Keyring,
) -> Result<(), CommandError> {
    let (text, held) = HeldFile::read(file)?;
    io::ensure_replaceable(file)?;
    // Others need not wait until the user is done; what they did is seen in the end.
    let known = held.let_go();
    let failed = |error: SimpleError| CommandError::from(error).doing("edit", file);
    let opened = simple::open(text, store, keyring, mac_check(args.mac.ignore_mac)).map_err(failed)?;
    ui::warn_odd_comments(file, opened.odd_comments());
    let style = printing.style;
    let shown = match args.show_master_keys {
        true => opened.plain_text_with_metadata(style),
        false => opened.plain_text(printing),
    };
    let sealed = edited(context, file, &shown.map_err(failed)?, |text| match args.show_master_keys {
        true => opened.edited_with_metadata(text, keyring, printing),
        false => opened.edited(text, printing),
    })?;
    save(file, &sealed, || known.replace(&sealed))
}

/// Writes the user's work with `write`, which says `false` when somebody else has changed the file.
///
/// A full disk is no reason to lose it: the user can make room and try again.
fn save(
    file: &Path,
    sealed: &SecretText,
    write: impl Fn() -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    loop {
        match write() {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(keep_beside(file, sealed)),
            Err(error) => {
                ui::show_error(Name::Orlop, &error);
                if !ui::wait_for_enter("Press Enter to try to write it again, or Ctrl+C to give up.") {
                    return Err(error);
                }
            }
        }
    }
}

/// Lets the user edit `shown` until it can be sealed.
fn edited(
    context: &Context,
    file: &Path,
    shown: &SecretText,
    seal: impl Fn(SecretText) -> Result<Option<SecretText>, SimpleError>,
) -> Result<SecretText, CommandError> {
    let session = EditSession::begin(file.file_name().unwrap_or(file.as_os_str()), shown, &context.env)?;
    loop {
        session.run_editor(&context.env)?;
        let text = session.text()?;
        if text == *shown {
            return Err(unchanged());
        }
        match seal(text) {
            Ok(Some(sealed)) => return Ok(sealed),
            Ok(None) => return Err(unchanged()),
            Err(error @ (SimpleError::Plain(_) | SimpleError::Seal(_) | SimpleError::Wrap(_))) => {
                let error = CommandError::from(error).doing("save", file);
                ui::show_error(Name::Orlop, &error);
                if !ui::wait_for_enter("Press Enter to return to the editor, or Ctrl+C to exit.") {
                    return Err(CommandError::new(Kind::Generic, "nothing was written"));
                }
            }
            Err(error) => return Err(CommandError::from(error).doing("save", file)),
        }
    }
}

fn unchanged() -> CommandError {
    let message = "File has not changed, exiting.";
    CommandError { is_literal: true, ..CommandError::new(Kind::FileHasNotBeenModified, message) }
}

/// Saves what the user wrote, sealed, beside a file that somebody else changed meanwhile.
fn keep_beside(file: &Path, sealed: &SecretText) -> CommandError {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let ending = file.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    let message = format!("cannot write {}: the file changed while you edited it", file.display());
    let error = CommandError::new(Kind::CouldNotWriteOutputFile, message);
    for number in 1..100 {
        let beside = file.with_file_name(format!("{stem}.edited-{number}{ending}"));
        match io::create_private(&beside, sealed.expose()) {
            Ok(()) => return error.hint(format!("your version is encrypted in {}", beside.display())),
            Err(problem) if problem.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(_) => break,
        }
    }
    error.hint("your version could not be saved")
}
