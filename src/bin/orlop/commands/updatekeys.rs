//! `orlop updatekeys`: the keys of sealed files brought in line with the config file.

use std::path::Path;

use orlop::simple::{self, SimpleError};

use crate::args::Updatekeys;
use crate::context::{Context, Name, absolute, store_for};
use crate::error::{CommandError, Kind};
use crate::io::HeldFile;
use crate::ui;

pub(crate) fn run(context: &Context, args: Updatekeys) -> Result<(), CommandError> {
    let files = &args.words.words;
    if files.is_empty() {
        return Err(CommandError::no_file("no file specified"));
    }
    if let [file] = &files[..] {
        return update(context, &args, Path::new(file));
    }
    let mut failed = 0;
    for file in files {
        if let Err(error) = update(context, &args, Path::new(file)) {
            ui::show_error(Name::Orlop, &error);
            failed += 1;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(CommandError::new(Kind::Generic, format!("failed updating {failed} key(s)"))),
    }
}

fn update(context: &Context, args: &Updatekeys, file: &Path) -> Result<(), CommandError> {
    if file.is_dir() {
        let message = format!("can't operate on a directory: {}", file.display());
        return Err(CommandError::new(Kind::Generic, message));
    }
    let config = context.config(Some(file))?.ok_or_else(config_not_found)?;
    let store = store_for(context.name, args.input_type.as_deref(), Some(file));
    let (style, _) = context.style(Some(&config), store.format())?;
    let rule =
        config.rule_for(&absolute(file)?).map_err(CommandError::config)?.ok_or_else(config_not_found)?;
    let groups = rule.key_groups().map_err(CommandError::config)?;
    let keyring = context.keyring_in_file_order(&args.services, Some(file))?;

    // sops: a file that cannot be read has no exit code of its own here.
    let (text, held) = HeldFile::read(file).map_err(|error| CommandError { kind: Kind::Generic, ..error })?;
    let failed = |error: SimpleError| CommandError::from(error).doing("update the keys of", file);
    let update = simple::plan_key_update(text, store, groups).map_err(failed)?;
    if update.is_empty() {
        ui::note(format_args!("File {} already up to date", file.display()));
        return Ok(());
    }
    // Nobody else has to wait while the question stands.
    let known = held.let_go();
    ui::show_key_update(&update, ui::is_colourful(&context.env));
    if !args.yes {
        let answer = ui::ask("Is this okay?").map_err(|error| {
            CommandError::new(Kind::Generic, format!("cannot update the keys of {}: {error}", file.display()))
                .hint("--yes answers the question beforehand")
        })?;
        if !answer {
            ui::note(format_args!("File {} left unchanged", file.display()));
            return Ok(());
        }
    }
    let sealed = update.apply(&keyring, style).map_err(failed)?;
    if !known.replace(&sealed)? {
        return Err(changed_meanwhile(file));
    }
    ui::note(format_args!("File {} synced with new keys", file.display()));
    Ok(())
}

fn changed_meanwhile(file: &Path) -> CommandError {
    let message = format!("cannot write {}: the file changed meanwhile", file.display());
    CommandError::new(Kind::CouldNotWriteOutputFile, message)
        .hint("nothing was written; run the command again")
}

fn config_not_found() -> CommandError {
    CommandError::new(Kind::Generic, "config file not found, or it has no creation rules")
        .hint("updatekeys takes the keys from .sops.yaml, or from the file that --config names")
}
