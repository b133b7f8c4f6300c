//! What `encrypt`, `decrypt` and `rotate` have in common: one input, one output.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use orlop::SecretText;
use orlop::simple::Printing;
use orlop::store::Store;

use crate::args::{Input, Output};
use crate::context::{Context, store_for};
use crate::error::CommandError;
use crate::io::{self, HeldFile, Sink};
use crate::ui;

/// Where a command's text comes from and where its result goes.
pub(crate) struct Source {
    /// The file; `None` is stdin.
    pub(crate) file: Option<PathBuf>,
    /// What the file counts as when its type and its rule are looked up.
    pub(crate) name: Option<PathBuf>,
    in_place: bool,
    output: Option<PathBuf>,
}

impl Source {
    /// The source that the command line names; a contradiction is an error.
    pub(crate) fn of(words: &[OsString], output: Output) -> Result<Self, CommandError> {
        warn_of_surplus(words);
        let file = words.first().map(PathBuf::from);
        if output.in_place && output.output.is_some() {
            return Err(CommandError::conflict("cannot operate on both --output and --in-place"));
        }
        if output.in_place && file.is_none() {
            return Err(CommandError::conflict("cannot use --in-place when reading from stdin"));
        }
        let name = output.filename_override.map(PathBuf::from).or_else(|| file.clone());
        Ok(Self { file, name, in_place: output.in_place, output: output.output.map(PathBuf::from) })
    }

    /// The file as messages call it.
    pub(crate) fn title(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new("stdin"))
    }

    /// The stores and the layout of the result, by types, names and config.
    pub(crate) fn printing(
        &self,
        context: &Context,
        config: Option<&orlop::Config>,
        input: &Input,
    ) -> Result<(&'static dyn Store, Printing), CommandError> {
        stores(context, config, input, self.name.as_deref())
    }

    /// Reads the input, and holds it if it is to be replaced.
    pub(crate) fn read(self) -> Result<(SecretText, Sink), CommandError> {
        let Some(file) = self.file else {
            let sink = self.output.map_or(Sink::Stdout, Sink::Path);
            return Ok((io::read_stdin()?, sink));
        };
        if self.in_place {
            let (text, held) = HeldFile::read(&file)?;
            return Ok((text, Sink::InPlace(held)));
        }
        Ok((io::read(&file)?, self.output.map_or(Sink::Stdout, Sink::Path)))
    }

    /// Fails when there is a file name but no file.
    pub(crate) fn ensure_exists(&self) -> Result<(), CommandError> {
        match &self.file {
            Some(file) if !exists(file) => Err(no_such_file(file)),
            _ => Ok(()),
        }
    }
}

/// Whether something stands at `path`.
pub(crate) fn exists(path: &Path) -> bool {
    !std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// A file that is not there.
pub(crate) fn no_such_file(file: &Path) -> CommandError {
    CommandError::no_file(format!("cannot operate on non-existent file {:?}", file.display().to_string()))
}

/// The store of the input, and how the output is printed.
pub(crate) fn stores(
    context: &Context,
    config: Option<&orlop::Config>,
    input: &Input,
    name: Option<&Path>,
) -> Result<(&'static dyn Store, Printing), CommandError> {
    let store = store_for(context.name, input.input_type.as_deref(), name);
    // sops: what the output is follows from the file's name, not from the type of the input.
    let output = store_for(context.name, input.output_type.as_deref(), name);
    let (style, is_asked_for) = context.style(config, output.format())?;
    Ok((store, Printing { store: output, style, reprint: is_asked_for }))
}

/// Warns when more words were given than the command takes.
pub(crate) fn warn_of_surplus(words: &[OsString]) {
    if words.len() < 2 {
        return;
    }
    ui::warn("more than one positional argument provided; only the first one will be used");
    if words[1..].iter().any(|word| word.as_encoded_bytes().starts_with(b"-")) {
        ui::warn("one of the unused words starts with a dash: flags must come before the file");
    }
}
