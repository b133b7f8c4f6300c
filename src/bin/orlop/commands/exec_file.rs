//! `orlop exec-file`: a command that reads the plain text of a sealed file from a path, and no disk sees it.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use orlop::simple::{self, MacCheck, SimpleError};

use crate::args::ExecFile;
use crate::child::{Ended, Shell, User, Variables};
use crate::commands::source::stores;
use crate::context::{Context, Name, io_reason};
use crate::error::{CommandError, Kind};
use crate::scratch::{Fifo, Folder};
use crate::{io, ui};

/// The name of the file when none is asked for.
const DEFAULT_NAME: &str = "tmp-file";

pub(crate) fn run(context: &Context, args: ExecFile) -> Result<u8, CommandError> {
    let [file, command] = &args.words.words[..] else {
        return Err(CommandError::usage("exec-file takes a file and a command").hint(
            "the command is one word, and {} is the file in it: orlop exec-file FILE 'program --config {}'",
        ));
    };
    let file = PathBuf::from(file);
    let config = context.config(Some(&file))?;
    let (store, printing) = stores(context, config.as_ref(), &args.input, Some(&file))?;
    let keyring =
        context.keyring(&args.unlocking.services, args.unlocking.decryption_order.as_deref(), Some(&file))?;
    let failed = |error: SimpleError| CommandError::from(error).doing("decrypt", &file);
    let opened = simple::open(io::read(&file)?, store, &keyring, MacCheck::Required).map_err(failed)?;
    ui::warn_odd_comments(&file, opened.odd_comments());
    let text = opened.plain_text(printing).map_err(failed)?;
    drop(opened);
    if args.running.background && context.name == Name::Sops {
        ui::warn("--background of exec-file is deprecated");
    }
    let name = args.filename.as_deref().filter(|name| !name.is_empty()).unwrap_or(OsStr::new(DEFAULT_NAME));
    if !is_local(Path::new(name)) {
        return Err(CommandError::usage(
            "--filename must be a local path: not absolute, and not out of its folder",
        ));
    }

    let mut variables = Variables::of(&context.env);
    if let Some(name) = &args.running.user {
        let user = User::named(name)?;
        user.become_it()?;
        variables.extend(user.variables());
    }
    let cannot = |error: std::io::Error| CommandError::writing("the file for the command", &error);
    let shell = |path: &Path| Shell { command: replaced(command, path), variables };
    // A command in the background outlives this process, which alone could feed a FIFO.
    if args.no_fifo || args.running.background || !Fifo::EXISTS {
        let folder = Folder::in_memory(&context.env)?;
        let path = folder.write(name, &text).map_err(cannot)?;
        drop(text);
        let shell = shell(&path);
        if args.running.background {
            return shell.start_in_background(Some(folder)).map(|()| 0).map_err(|error| shell_failed(&error));
        }
        let result = shell.run().map_err(|error| shell_failed(&error));
        drop(folder);
        return ended(context, result?);
    }
    let folder = Folder::anywhere(&context.env)?;
    let fifo = Fifo::feed(folder.place_for(name).map_err(cannot)?, text).map_err(cannot)?;
    let result = shell(fifo.path()).run().map_err(|error| shell_failed(&error));
    drop(fifo);
    drop(folder);
    ended(context, result?)
}

/// `command` with `path` in every place of `{}`.
fn replaced(command: &OsStr, path: &Path) -> OsString {
    let mut result = Vec::new();
    let mut rest = command.as_encoded_bytes();
    while let Some(at) = rest.windows(2).position(|window| window == b"{}") {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(path.as_os_str().as_encoded_bytes());
        rest = &rest[at + 2..];
    }
    result.extend_from_slice(rest);
    os_string(result)
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Whether `path` stays in the folder it starts from.
fn is_local(path: &Path) -> bool {
    let mut depth = 0;
    let stays = path.components().all(|component| {
        depth += match component {
            Component::Normal(_) => 1,
            Component::CurDir => 0,
            Component::ParentDir => -1,
            Component::RootDir | Component::Prefix(_) => return false,
        };
        depth >= 0
    });
    stays && path.file_name().is_some()
}

/// The exit code for a command that ended: its own, 255 when a signal ended it, as sops has them.
///
/// A signal that this process got and that ended the command ends this process too.
pub(crate) fn ended(context: &Context, ended: Ended) -> Result<u8, CommandError> {
    ended.follow();
    if context.name == Name::Sops && ended.code != Some(0) {
        ui::note(ended);
    }
    Ok(ended.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}

/// The shell did not start.
pub(crate) fn shell_failed(error: &std::io::Error) -> CommandError {
    CommandError::new(Kind::Generic, format!("cannot start {}: {}", Shell::PROGRAM, io_reason(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_braces_is_the_path() {
        let shown = |command: &str| replaced(OsStr::new(command), Path::new("/x y")).into_string().unwrap();
        assert_eq!(shown("cat {} {}"), "cat /x y /x y");
        assert_eq!(shown("{}"), "/x y");
        assert_eq!(shown("{{}} ${a} { }"), "{/x y} ${a} { }");
    }

    #[test]
    fn a_local_name_stays_in_its_folder() {
        for name in ["a", "a.yaml", "a/b", "./a", "a/../b"] {
            assert!(is_local(Path::new(name)), "{name}");
        }
        for name in ["/a", "../a", "a/../../b", "..", ".", ""] {
            assert!(!is_local(Path::new(name)), "{name}");
        }
    }
}
