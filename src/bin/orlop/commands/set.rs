//! `orlop set`: one value of a sealed file, and nothing else, changed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use orlop::simple;
use orlop::{SecretText, Tree, TreePath};

use crate::args::{Input, Mac, Set, Unlocking};
use crate::commands::decrypt::mac_check;
use crate::commands::source::stores;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::io::{self, HeldFile};
use crate::{json, ui};

pub(crate) fn run(context: &Context, args: Set) -> Result<(), CommandError> {
    if args.value_file && args.value_stdin {
        return Err(CommandError::new(Kind::Generic, "cannot use both --value-file and --value-stdin"));
    }
    let (file, path, value) = match &args.changing.words.words[..] {
        [file, path] if args.value_stdin => (file, path, io::read_stdin()?),
        [file, path, value] if args.value_file => (file, path, read_value(Path::new(value))?),
        [file, path, value] if !args.value_stdin => (file, path, secret_word(value)),
        _ => {
            return Err(CommandError::no_file("set takes a file, a path and a value")
                .hint("orlop set FILE '[\"key\"]' '\"value\"', or --value-stdin and no value"));
        }
    };
    let change = ValueChange {
        file: file.into(),
        name: file.into(),
        path: tree_path(path, "set")?,
        value: value_of(&value)?,
        is_idempotent: args.changing.idempotent,
    };
    change.apply(context, &args.input, &args.changing.mac, &args.changing.unlocking)
}

/// A value that is to be put at a place of a file.
pub(crate) struct ValueChange {
    pub(crate) file: PathBuf,
    /// What the file counts as when its type is looked up.
    pub(crate) name: PathBuf,
    pub(crate) path: TreePath,
    pub(crate) value: Tree,
    /// Whether nothing is to be written when the value is there already.
    pub(crate) is_idempotent: bool,
}

impl ValueChange {
    /// Changes the file.
    pub(crate) fn apply(
        self,
        context: &Context,
        input: &Input,
        mac: &Mac,
        unlocking: &Unlocking,
    ) -> Result<(), CommandError> {
        let config = context.config(Some(&self.name))?;
        let (store, printing) = stores(context, config.as_ref(), input, Some(&self.name))?;
        let keyring =
            context.keyring(&unlocking.services, unlocking.decryption_order.as_deref(), Some(&self.file))?;

        let (text, held) = HeldFile::read(&self.file)?;
        let failed =
            |error: simple::SimpleError| CommandError::from(error).doing("set a value in", &self.file);
        let opened = simple::open(text, store, &keyring, mac_check(mac.ignore_mac)).map_err(failed)?;
        ui::warn_odd_comments(&self.file, opened.odd_comments());
        // With or without --idempotent: a file in which nothing changes is not written, unless in another format.
        let converted = match self.is_idempotent {
            true => None,
            false => opened.converted(printing).map_err(failed)?,
        };
        match opened.set(&self.path, &self.value, printing).map_err(failed)?.or(converted) {
            Some(sealed) => held.replace(&sealed),
            None => Ok(()),
        }
    }
}

/// Reads the file that holds the value. sops: it is no input file, so the exit code is the general one.
fn read_value(file: &Path) -> Result<SecretText, CommandError> {
    io::read(file).map_err(|error| CommandError { kind: Kind::Generic, ..error })
}

fn secret_word(word: &OsStr) -> SecretText {
    SecretText::copy_of(word.as_encoded_bytes())
}

/// The place that a word names.
pub(crate) fn tree_path(word: &OsString, command: &str) -> Result<TreePath, CommandError> {
    TreePath::parse(&word.to_string_lossy()).map_err(|error| {
        CommandError::new(Kind::InvalidSetFormat, format!("Invalid {command} index format: {error}"))
            .hint("a path is written like '[\"key\"][0]'")
    })
}

/// The value that a text says in JSON.
pub(crate) fn value_of(text: &SecretText) -> Result<Tree, CommandError> {
    let invalid = |message: String| CommandError::new(Kind::InvalidSetFormat, message);
    let value = json::parse(text).map_err(|error| {
        invalid(format!("Value for --set is not valid JSON: {error}"))
            .hint("a text needs its quotes, past the shell: '\"text\"'")
    })?;
    match value {
        Tree::List(_) => {
            Err(invalid("Invalid --set value format: a list cannot be set as a whole".to_owned())
                .hint("set its elements by index, or an object that holds it"))
        }
        value => Ok(value),
    }
}
