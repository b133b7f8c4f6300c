//! What the tests of commands share: a folder to work in, and a run of the program with its invariants checked.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use age::secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// The word that secrets of tests hold, and no message may.
pub(crate) const CANARY: &str = "canary";

/// A file with every kind of value.
pub(crate) const SAMPLE: &str = "# canary comment\nname: canary-name\nport: 8080\nratio: 1.5\ndebug: true\nnothing: null\n\
                                 empty: \"\"\nlist:\n  - canary-one\n  - canary-two\nnested:\n  deep: canary-deep\n";

/// A folder with an age key and a config file that names it.
pub(crate) struct Desk {
    folder: TempDir,
    pub(crate) recipient: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "tmp", "edit", "steps"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let identity = age::x25519::Identity::generate();
        fs::write(folder.path().join("home/key.txt"), identity.to_string().expose_secret()).unwrap();
        let desk = Self { folder, recipient: identity.to_public().to_string() };
        desk.file(".sops.yaml", &format!("creation_rules:\n  - age: {}\n", desk.recipient));
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file and encrypts it in place.
    pub(crate) fn sealed(&self, name: &str, text: &str) -> String {
        self.file(name, text);
        assert_eq!(self.run(["encrypt", "-i", name]).ok(), "");
        let sealed = self.text(name);
        assert!(sealed.contains("ENC[") && !sealed.contains(CANARY), "{name} was not sealed");
        sealed
    }

    /// What the file decrypts to.
    pub(crate) fn plain(&self, name: &str) -> String {
        self.run(["decrypt", name]).ok()
    }

    /// Another key, and a file that holds it.
    pub(crate) fn other_key(&self, name: &str) -> String {
        let identity = age::x25519::Identity::generate();
        self.file(name, identity.to_string().expose_secret());
        identity.to_public().to_string()
    }

    /// The program with `words`, in a clean environment.
    pub(crate) fn orlop<'word>(&self, words: impl IntoIterator<Item = &'word str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orlop"));
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("ORLOP_EDIT_TMPDIR", self.path("edit"))
            .env("EDITOR_STEPS", self.path("steps"))
            .env("SOPS_AGE_KEY_FILE", self.path("home/key.txt"))
            .env("SOPS_EDITOR", editor())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run<'word>(&self, words: impl IntoIterator<Item = &'word str>) -> Run {
        self.run_command(&mut self.orlop(words))
    }

    /// Runs with `text` on stdin.
    pub(crate) fn run_with_stdin<'word>(
        &self,
        words: impl IntoIterator<Item = &'word str>,
        text: impl AsRef<[u8]>,
    ) -> Run {
        let mut command = self.orlop(words);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that fails before it reads closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(text.as_ref());
        self.checked(child.wait_with_output().unwrap())
    }

    pub(crate) fn run_command(&self, command: &mut Command) -> Run {
        self.checked(command.output().unwrap())
    }

    fn checked(&self, output: Output) -> Run {
        let run = Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!run.stderr.contains(CANARY), "a message holds a secret: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        self.assert_no_traces();
        run
    }

    /// No file is left where no file belongs.
    pub(crate) fn assert_no_traces(&self) {
        for name in ["tmp", "edit"] {
            assert_eq!(list(&self.path(name)), Vec::<String>::new(), "{name} is not empty");
        }
        let left = list(self.folder.path()).into_iter().filter(|name| name.contains(".orlop-"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
    }
}

/// The editor of the tests, which does what the scripts in `steps` say.
pub(crate) fn editor() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/bin/editor")
}

/// The names in a folder, sorted.
pub(crate) fn list(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// What it printed, if it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// Its message, if it failed with `code` and printed nothing.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "");
        assert!(!self.stderr.is_empty());
        self.stderr
    }
}
