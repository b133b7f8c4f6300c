//! `orlop decrypt`: a sealed file's plain text, or one value of it.

use orlop::TreePath;
use orlop::simple::{self, MacCheck};

use crate::args::Decrypt;
use crate::commands::source::Source;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::ui;

pub(crate) fn run(context: &Context, args: Decrypt) -> Result<(), CommandError> {
    let source = Source::of(&args.words.words, args.output)?;
    source.ensure_exists()?;
    let config = context.config(source.name.as_deref())?;
    let (store, printing) = source.printing(context, config.as_ref(), &args.input)?;
    let path = extract_path(args.extract.as_deref())?;
    let unlocking = &args.unlocking;
    let order = unlocking.decryption_order.as_deref();
    let keyring = context.keyring(&unlocking.services, order, source.file.as_deref())?;

    let title = source.title().to_owned();
    let (text, sink) = source.read()?;
    let failed = |error: simple::SimpleError| CommandError::from(error).doing("decrypt", &title);
    let mac = mac_check(args.mac.ignore_mac);
    if path.is_none() && printing.keeps(store) {
        let decrypted = simple::decrypt_file(text, store, &keyring, mac).map_err(failed)?;
        ui::warn_odd_comments(&title, &decrypted.odd_comments);
        sink.write(&decrypted.text)?;
        decrypted.wipe_and_leave();
        return Ok(());
    }
    let opened = simple::open(text, store, &keyring, mac).map_err(failed)?;
    ui::warn_odd_comments(&title, opened.odd_comments());
    let plain = match path {
        Some(path) => opened.extract(&path, printing),
        None => opened.plain_text(printing),
    };
    sink.write(&plain.map_err(failed)?)?;
    opened.wipe_and_leave();
    Ok(())
}

/// What `--ignore-mac` means.
pub(crate) fn mac_check(ignore_mac: bool) -> MacCheck {
    if ignore_mac { MacCheck::DangerouslySkipped } else { MacCheck::Required }
}

fn extract_path(text: Option<&str>) -> Result<Option<TreePath>, CommandError> {
    let Some(text) = text else { return Ok(None) };
    let path = TreePath::parse(text).map_err(|error| {
        let message = format!("error parsing --extract path: {error}");
        CommandError::new(Kind::InvalidTreePathFormat, message).hint("a path is written like '[\"key\"][0]'")
    })?;
    Ok(Some(path).filter(|path| !path.steps().is_empty()))
}
