//! `orlop filestatus`: whether a file is sealed, without any key.

use std::path::PathBuf;

use orlop::simple;

use crate::args::Filestatus;
use crate::context::{Context, store_for};
use crate::error::{CommandError, Kind};
use crate::{io, ui};

pub(crate) fn run(context: &Context, args: &Filestatus) -> Result<(), CommandError> {
    let Some(file) = args.words.words.first().map(PathBuf::from) else {
        return Err(CommandError::no_file("no file specified"));
    };
    // sops: whatever goes wrong here, the exit code is 1.
    let generic = |error: CommandError| CommandError { kind: Kind::Generic, ..error };
    let store = store_for(context.name, args.input_type.as_deref(), Some(&file));
    let text = io::read(&file).map_err(generic)?;
    let is_sealed = simple::is_sealed(text, store)
        .map_err(|error| generic(CommandError::from(error)).doing("tell the status of", &file))?;
    ui::print_line(format_args!("{{\"encrypted\":{is_sealed}}}"));
    Ok(())
}
