//! A plain text shown to an editor, in a file that no disk ever sees and that is gone when this process is.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use orlop::{Env, SecretText};

use crate::child::{self, Ended};
use crate::context::io_reason;
use crate::error::{CommandError, Kind};
use crate::io as files;
use crate::scratch::Folder;

/// A text in a private file, and the right to edit it.
pub(crate) struct EditSession {
    file: PathBuf,
    _folder: Folder,
}

impl EditSession {
    /// Puts `text` into a file called `name` in a private folder in memory.
    pub(crate) fn begin(name: &OsStr, text: &SecretText, env: &Env) -> Result<Self, CommandError> {
        let folder = Folder::in_memory(env)?;
        let file = folder
            .write(name, text)
            .map_err(|error| CommandError::writing("the temporary file for the editor", &error))?;
        Ok(Self { file, _folder: folder })
    }

    /// Runs the user's editor until it ends.
    pub(crate) fn run_editor(&self, env: &Env) -> Result<(), CommandError> {
        let failed = |reason: String| {
            CommandError::new(Kind::NoEditorFound, format!("Could not run editor: {reason}"))
                .hint("name one in SOPS_EDITOR or EDITOR")
        };
        let words = editor(env).map_err(failed)?;
        let (program, arguments) = words.split_first().expect("an editor is never no word");
        let mut command = Command::new(program);
        command.args(arguments).arg(&self.file);
        match child::run(&mut command) {
            Ok(Ended { interrupted: Some(_), .. }) => {
                Err(CommandError::new(Kind::Generic, "interrupted; nothing was written"))
            }
            Ok(ended) if ended.code == Some(0) => Ok(()),
            Ok(ended) => {
                Err(failed(format!("{} ended with {ended}; nothing was written", program.display())))
            }
            Err(error) => Err(failed(format!("{}: {}", program.display(), io_reason(&error)))),
        }
    }

    /// The text as the editor left it.
    pub(crate) fn text(&self) -> Result<SecretText, CommandError> {
        files::read(&self.file)
    }
}

/// The program to edit with, and its arguments.
fn editor(env: &Env) -> Result<Vec<OsString>, String> {
    for variable in ["SOPS_EDITOR", "EDITOR"] {
        if let Some(line) = env.non_empty(variable) {
            let line = line.to_str().ok_or_else(|| format!("{variable} is not UTF-8"))?;
            let words =
                shlex::split(line).ok_or_else(|| format!("{variable} has a quote that is not closed"))?;
            if words.is_empty() {
                return Err(format!("{variable} names no program"));
            }
            return Ok(words.into_iter().map(OsString::from).collect());
        }
    }
    let folders: Vec<PathBuf> =
        env.var("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    ["vim", "nano", "vi"]
        .iter()
        .find_map(|name| {
            folders
                .iter()
                .filter(|folder| folder.is_absolute())
                .map(|folder| folder.join(name))
                .find(|path| path.is_file())
        })
        .map(|path| vec![path.into_os_string()])
        .ok_or_else(|| {
            "neither SOPS_EDITOR nor EDITOR is set, and there is no vim, nano or vi on PATH".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editor_is_the_users_split_into_words() {
        let chosen = |variables: &[(&str, &str)]| editor(&Env::from_iter(variables.iter().copied()));
        let words = |line: &[&str]| Ok(line.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            chosen(&[("SOPS_EDITOR", "code -w 'a b'"), ("EDITOR", "vi")]),
            words(&["code", "-w", "a b"])
        );
        assert_eq!(chosen(&[("SOPS_EDITOR", ""), ("EDITOR", "vi")]), words(&["vi"]));
        assert!(chosen(&[("EDITOR", "vi 'x")]).is_err());
        assert!(chosen(&[("PATH", "/nonexistent")]).is_err());
    }
}
