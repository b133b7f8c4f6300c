//! What is said when a command fails, and with which exit code: the one place where both are decided.

use std::fmt;
use std::path::Path;

use orlop::config::ConfigError;
use orlop::document::FindError;
use orlop::file::FileError;
use orlop::keyring::{AttemptReason, UnlockError, WrapError};
use orlop::provider::{KeyTextError, ProviderError, SourceOutcome, SourceReport};
use orlop::selection::SelectionError;
use orlop::simple::SimpleError;
use orlop::store::EditError;

use crate::context::io_reason;

/// Why a command failed, by the exit codes of sops, on which scripts rely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Generic = 1,
    CouldNotReadInputFile = 2,
    CouldNotWriteOutputFile = 3,
    ErrorDumpingTree = 4,
    InvalidKmsEncryptionContext = 6,
    InvalidSetFormat = 7,
    ConflictingParameters = 8,
    ErrorEncryptingTree = 23,
    ErrorDecryptingTree = 25,
    CannotChangeKeysFromNonExistentFile = 49,
    MacMismatch = 51,
    InvalidTreePathFormat = 91,
    NeedAtLeastOneDocument = 92,
    NoFileSpecified = 100,
    DuplicateDecryptionKeyType = 112,
    CouldNotRetrieveKey = 128,
    FileHasNotBeenModified = 200,
    NoEditorFound = 201,
    FileAlreadyEncrypted = 203,
    /// Help for a command that does not exist; sops' command line library ends with 3 then.
    NoHelpTopic,
}

impl Kind {
    /// The exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Kind::NoHelpTopic => 3,
            kind => kind as u8,
        }
    }
}

/// A failed command: what could not be done and why, details line by line, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CommandError {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// Further lines, such as one for each key that did not help.
    pub(crate) details: Vec<String>,
    pub(crate) hints: Vec<String>,
    /// Whether scripts compare the message with the whole of stderr, so that nothing may stand around it.
    pub(crate) is_literal: bool,
}

impl CommandError {
    /// A failure without details.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new(), hints: Vec::new(), is_literal: false }
    }

    /// The same with something to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with what was being done before the message: `cannot decrypt a.yaml: …`.
    pub(crate) fn doing(mut self, what: &str, file: &Path) -> Self {
        if !self.is_literal {
            self.message = format!("cannot {what} {}: {}", file.display(), self.message);
        }
        self
    }

    /// A wrong command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Generic, message)
    }

    /// Something that sops has and this version has not.
    pub(crate) fn not_yet(what: impl fmt::Display) -> Self {
        Self::new(Kind::Generic, format!("this version does not have {what} yet"))
    }

    /// Two things that exclude each other.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::ConflictingParameters, message)
    }

    /// No file was named, or it does not exist.
    pub(crate) fn no_file(message: impl Into<String>) -> Self {
        Self::new(Kind::NoFileSpecified, message)
    }

    /// An input that cannot be read.
    pub(crate) fn reading(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Kind::CouldNotReadInputFile, format!("cannot read {what}: {}", io_reason(error)))
    }

    /// An output that cannot be written.
    pub(crate) fn writing(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Kind::CouldNotWriteOutputFile, format!("cannot write {what}: {}", io_reason(error)))
    }

    /// The config file, or a rule of it.
    pub(crate) fn config(error: ConfigError) -> Self {
        let message = format!("error loading config: {error}");
        match error {
            ConfigError::NoMatchingRule { .. } => {
                Self::new(Kind::Generic, format!("error loading config: no matching creation rules found: {error}"))
                    .hint("add a rule to the config file whose path_regex fits, or name a file with --filename-override")
            }
            ConfigError::Selection { source: SelectionError::MoreThanOne { .. }, .. } => {
                Self::new(Kind::Generic, message).hint("keep one of them")
            }
            _ => Self::new(Kind::Generic, message),
        }
    }

    /// A text that does not name a key.
    pub(crate) fn key_text(flag: &str, error: KeyTextError) -> Self {
        Self::new(Kind::Generic, format!("--{flag}: {error}"))
    }
}

impl From<SimpleError> for CommandError {
    fn from(error: SimpleError) -> Self {
        match error {
            SimpleError::Plain(error) => plain(error),
            SimpleError::Sealed(error) => sealed(error),
            SimpleError::Unlock(error) => unlock(error),
            SimpleError::Open(error) => open(error),
            SimpleError::Print(error) => Self::new(Kind::ErrorDumpingTree, error.to_string()),
            SimpleError::Extract(error) => match error {
                FileError::Find(error) => Self::new(Kind::Generic, format!("error truncating tree: {error}"))
                    .hint("list indices count comments; names are case-sensitive"),
                error => Self::new(Kind::ErrorDumpingTree, error.to_string()),
            },
            SimpleError::Change(error) => change(error),
            SimpleError::Random(error) => Self::new(Kind::Generic, error.to_string()),
            SimpleError::Wrap(error) => wrap(error),
            SimpleError::Seal(error) => seal(error),
            SimpleError::Audit(error) => Self::new(Kind::Generic, error.to_string())
                .hint("nothing was done; whoever set up /etc/sops/audit.yaml can help"),
            _ => Self::new(Kind::Generic, error.to_string()),
        }
    }
}

fn plain(error: FileError) -> CommandError {
    match error {
        FileError::AlreadySealed => already_sealed(),
        FileError::Empty => CommandError::new(Kind::NeedAtLeastOneDocument, error.to_string()),
        FileError::Parse(ref problem) if problem.empty => {
            CommandError::new(Kind::NeedAtLeastOneDocument, error.to_string())
        }
        _ => CommandError::new(Kind::CouldNotReadInputFile, error.to_string()),
    }
}

fn already_sealed() -> CommandError {
    let message =
        "it contains a top-level entry called 'sops', which is where encrypted files keep their metadata";
    CommandError::new(Kind::FileAlreadyEncrypted, message)
        .hint("the file is probably encrypted already: `edit`, `set` and `rotate` change such files")
}

fn sealed(error: FileError) -> CommandError {
    let described = CommandError::new(Kind::Generic, error.to_string());
    match error {
        FileError::NotSealed => described.hint("it is not encrypted; `encrypt` makes it so"),
        FileError::Metadata(_) => {
            described.hint("the sops block was changed by hand or by a merge; restore it")
        }
        _ => described,
    }
}

fn open(error: FileError) -> CommandError {
    let text = error.to_string();
    match error {
        FileError::Mac(_) => CommandError::new(Kind::MacMismatch, format!("MAC mismatch: {text}")).hint(
            "values were added, removed, moved or put back by something else than sops or orlop; restore the file, \
             or look at it with --ignore-mac",
        ),
        FileError::Value { .. } => CommandError::new(Kind::ErrorDecryptingTree, text)
            .hint("restore that value from the file's history; it was changed, moved or belongs to another file"),
        FileError::Walk(_) => CommandError::new(Kind::ErrorDecryptingTree, text),
        _ => CommandError::new(Kind::Generic, text),
    }
}

fn change(error: FileError) -> CommandError {
    match error {
        FileError::AlreadySealed => CommandError::new(
            Kind::FileAlreadyEncrypted,
            "the top-level entry called 'sops' is where the metadata is; it cannot hold a value",
        ),
        FileError::Edit(EditError::Find(error)) | FileError::Find(error) => match error {
            FindError::NoSuchKey { ref key } => {
                CommandError::new(Kind::Generic, format!("Key not found: {key}"))
            }
            FindError::OutOfBounds { index } => {
                CommandError::new(Kind::Generic, format!("Index {index} out of bounds"))
            }
            error => CommandError::new(Kind::Generic, error.to_string()),
        },
        FileError::Edit(error @ (EditError::WholeFile | EditError::RootIsMap | EditError::IsComment)) => {
            CommandError::new(Kind::InvalidSetFormat, error.to_string())
        }
        FileError::Print(error) => CommandError::new(Kind::ErrorDumpingTree, error.to_string()),
        FileError::Edit(error @ EditError::NoRoom) => {
            CommandError::new(Kind::ErrorEncryptingTree, error.to_string())
                .hint("`orlop edit` shows the place as it is; write it another way there")
        }
        error => seal(error),
    }
}

fn seal(error: FileError) -> CommandError {
    match error {
        FileError::AlreadySealed => already_sealed(),
        FileError::Walk(_) | FileError::CommentMatches | FileError::NothingSealed => {
            CommandError::new(Kind::ErrorEncryptingTree, error.to_string())
        }
        FileError::Print(_) => CommandError::new(Kind::ErrorDumpingTree, error.to_string()),
        FileError::Selection(_) => CommandError::new(Kind::Generic, error.to_string())
            .hint("with a rule that cannot be used, the whole file would stay in clear text"),
        _ => CommandError::new(Kind::ErrorEncryptingTree, error.to_string()),
    }
}

fn wrap(error: WrapError) -> CommandError {
    match error {
        WrapError::EmptyGroup { .. } => {
            let message = "Could not generate data key: [empty key group provided]";
            CommandError { is_literal: true, ..CommandError::new(Kind::Generic, message) }
        }
        WrapError::Failed { failures } => {
            let mut error =
                CommandError::new(Kind::Generic, "could not generate data key: not every key can be used");
            for failure in failures {
                for reason in &failure.reasons {
                    error.details.push(format!("group {}: {}: {reason}", failure.group + 1, failure.key));
                }
            }
            error.hint("every key must be able to open the file, so all of them must work now")
        }
        error => CommandError::new(Kind::Generic, format!("could not generate data key: {error}")),
    }
}

fn unlock(error: UnlockError) -> CommandError {
    let mut described =
        CommandError::new(Kind::CouldNotRetrieveKey, format!("its data key cannot be had: {error}"));
    let UnlockError::NotEnough { groups, sources, .. } = error else { return described };
    for (number, group) in groups.iter().enumerate() {
        if group.is_unlocked {
            described.details.push(format!("group {}: unlocked", number + 1));
            continue;
        }
        if group.attempts.is_empty() {
            described.details.push(format!("group {}: it has no keys", number + 1));
        }
        for attempt in &group.attempts {
            for reason in &attempt.reasons {
                let provider = attempt.key.provider().human_name;
                described.details.push(format!("group {}: {provider} {}: {reason}", number + 1, attempt.key));
            }
        }
    }
    described.details.extend(sources.iter().filter_map(source_line));
    if sources.is_empty() {
        return described.hint("only other key services were asked, as --enable-local-keyservice is false");
    }
    let anything_loaded = sources.iter().any(|source| matches!(source.outcome, SourceOutcome::Loaded(1..)));
    let has_failed =
        |reason: &AttemptReason| matches!(reason, AttemptReason::Failed(ProviderError::UnwrapFailed { .. }));
    let attempts = groups.iter().flat_map(|group| &group.attempts);
    if attempts.flat_map(|attempt| &attempt.reasons).any(has_failed) {
        return described
            .hint("a key that may open the file could not be used; what is said of it above comes first");
    }
    described.hint(match anything_loaded {
        true => "none of your keys is one of those; ask somebody who can open the file to add yours (`updatekeys`)",
        false => "no age key was found; put yours into SOPS_AGE_KEY_FILE, SOPS_AGE_KEY or the keys.txt named above",
    })
}

fn source_line(source: &SourceReport) -> Option<String> {
    let place = &source.place;
    Some(match &source.outcome {
        SourceOutcome::Loaded(1) => format!("looked in {place}: 1 key"),
        SourceOutcome::Loaded(count) => format!("looked in {place}: {count} keys"),
        SourceOutcome::Locked => format!("looked in {place}: protected by a passphrase, and not opened"),
        SourceOutcome::Absent => format!("looked in {place}: nothing there"),
        SourceOutcome::Rejected { reason } => format!("looked in {place}: not used: {reason}"),
    })
}
