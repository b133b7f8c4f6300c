//! `orlop unset`: one value of a sealed file taken out.

use std::path::Path;

use orlop::document::FindError;
use orlop::file::FileError;
use orlop::simple::{self, SimpleError};
use orlop::store::EditError;

use crate::args::Unset;
use crate::commands::decrypt::mac_check;
use crate::commands::set::tree_path;
use crate::commands::source::stores;
use crate::context::Context;
use crate::error::CommandError;
use crate::io::HeldFile;
use crate::ui;

pub(crate) fn run(context: &Context, args: Unset) -> Result<(), CommandError> {
    let [file, path] = &args.changing.words.words[..] else {
        return Err(
            CommandError::no_file("unset takes a file and a path").hint("orlop unset FILE '[\"key\"]'")
        );
    };
    let (file, path) = (Path::new(file), tree_path(path, "unset")?);
    let config = context.config(Some(file))?;
    let (store, printing) = stores(context, config.as_ref(), &args.input, Some(file))?;
    let unlocking = &args.changing.unlocking;
    let keyring = context.keyring(&unlocking.services, unlocking.decryption_order.as_deref(), Some(file))?;

    let (text, held) = HeldFile::read(file)?;
    let failed = |error: SimpleError| CommandError::from(error).doing("remove a value from", file);
    let opened =
        simple::open(text, store, &keyring, mac_check(args.changing.mac.ignore_mac)).map_err(failed)?;
    ui::warn_odd_comments(file, opened.odd_comments());
    match opened.unset(&path, printing) {
        Ok(Some(sealed)) => held.replace(&sealed),
        Ok(None) => Ok(()),
        Err(error) if args.changing.idempotent && is_missing(&error) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Whether there was nothing to remove.
fn is_missing(error: &SimpleError) -> bool {
    let SimpleError::Change(FileError::Find(error) | FileError::Edit(EditError::Find(error))) = error else {
        return false;
    };
    matches!(error, FindError::NoSuchKey { .. } | FindError::OutOfBounds { .. })
}
