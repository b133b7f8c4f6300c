//! What several modules of the suite share: the corpus, keys, and the real sops.

use std::path::{Path, PathBuf};

use orlop::store::{Format, Style};
use orlop::{
    DataKey, Env, KeyGroup, Keyring, MasterKey, Metadata, OpenFile, PlainFile, SealedFile, SecretText,
    SelectionRule, Session,
};

/// The layout of new text in every test.
pub(crate) const STYLE: Style = Style { indent: 4, tabs: false };

/// A file below `testdata`.
pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

/// The plain files of the YAML corpus.
pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    corpus_of(Format::Yaml)
}

/// The ending of a format's files.
pub(crate) fn ending(format: Format) -> &'static str {
    if format == Format::Binary { "bin" } else { format.name() }
}

/// The plain files of a format's corpus.
pub(crate) fn corpus_of(format: Format) -> Vec<(String, Vec<u8>)> {
    let folder = testdata("corpus").join(format.name());
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Vec<u8>)> = entries
        .filter(|path| path.extension().is_some_and(|found| found == ending(format)))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    let least = if format == Format::Yaml { 60 } else { 40 };
    assert!(files.len() >= least, "the corpus has at least {least} files");
    files
}

/// The file with the test-only age identity.
pub(crate) fn identity_file() -> PathBuf {
    testdata("keys/age-test.txt")
}

/// The recipient of the test-only identity.
pub(crate) fn recipient() -> String {
    let file = std::fs::read_to_string(identity_file()).unwrap();
    let line = file.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    line.trim().to_owned()
}

/// A keyring with the test-only identity.
pub(crate) fn keyring() -> Keyring {
    let identity = identity_file().into_os_string();
    Keyring::new(Session::new(Env::from_iter([("SOPS_AGE_KEY_FILE", identity)])))
}

/// Seals a YAML text for the test-only identity.
pub(crate) fn seal(text: &[u8], rule: SelectionRule, mac_only: bool) -> Result<SecretText, orlop::FileError> {
    seal_in(Format::Yaml, text, rule, mac_only)
}

/// Seals a text for the test-only identity.
pub(crate) fn seal_in(
    format: Format,
    text: &[u8],
    rule: SelectionRule,
    mac_only: bool,
) -> Result<SecretText, orlop::FileError> {
    let key = DataKey::generate()?;
    let recipient = MasterKey::Age(orlop::provider::age::Recipient::of_file(&recipient()));
    let mut metadata = Metadata::new(vec![KeyGroup::of_keys([recipient])], rule);
    metadata.mac_only_encrypted = mac_only;
    keyring().wrap(&mut metadata.key_groups, 0, &key).unwrap();
    PlainFile::parse(SecretText::copy_of(text), format.store())?.seal(&key, metadata, STYLE)
}

/// Opens a sealed YAML text with the test-only identity.
pub(crate) fn open(sealed: &[u8]) -> Result<OpenFile, orlop::FileError> {
    open_in(Format::Yaml, sealed)
}

/// Opens a sealed text with the test-only identity.
pub(crate) fn open_in(format: Format, sealed: &[u8]) -> Result<OpenFile, orlop::FileError> {
    let file = SealedFile::parse(SecretText::copy_of(sealed), format.store())?;
    let key = keyring().unlock(&file.metadata().key_groups, file.metadata().shamir_threshold).unwrap();
    file.open(&key)
}

#[cfg(feature = "peers")]
/// The folder the real programs are installed in.
pub(crate) fn peers() -> PathBuf {
    let cache = || {
        let xdg = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty());
        xdg.map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from)
    };
    std::env::var_os("ORLOP_PEERS").map_or_else(|| cache().join("orlop-peers"), PathBuf::from).join("bin")
}

#[cfg(feature = "peers")]
/// Runs real sops in a folder without configuration, with the test-only identity, and `input` as its input.
pub(crate) fn sops(
    args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
    input: &[u8],
) -> std::process::Output {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let program = peers().join("sops");
    assert!(program.exists(), "{} is missing: run tests/peers/install", program.display());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".sops.yaml"), "stores: {}\n").unwrap();
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("SOPS_AGE_KEY_FILE", identity_file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).ok();
    child.wait_with_output().unwrap()
}

#[cfg(feature = "peers")]
/// Does `work` for every item on all processors and returns what it gives, in order.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(items.len().max(1));
    let chunk = items.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = items
            .chunks(chunk)
            .map(|items| scope.spawn(move || items.iter().map(work).collect::<Vec<R>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Every value of a plain text with its path and canonical content, in order. A float without a fraction counts as
/// the integer that sops prints for it.
pub(crate) fn values(text: &[u8]) -> Vec<(String, String)> {
    values_in(Format::Yaml, text)
}

/// As [`values`], for a text of any format.
pub(crate) fn values_in(format: Format, text: &[u8]) -> Vec<(String, String)> {
    spots(format, text).into_iter().filter(|(path, _)| path != COMMENT).collect()
}

#[cfg(feature = "peers")]
/// Every comment of a plain text, sorted.
pub(crate) fn comments(text: &[u8]) -> Vec<String> {
    let mut comments: Vec<String> = spots(Format::Yaml, text)
        .into_iter()
        .filter(|(path, _)| path == COMMENT)
        .map(|(_, text)| text)
        .collect();
    comments.sort();
    comments
}

const COMMENT: &str = "#";

fn spots(format: Format, text: &[u8]) -> Vec<(String, String)> {
    use orlop::document::{Spot, WalkError, walk};
    let store = format.store();
    let document = store.parse_plain(SecretText::copy_of(text)).unwrap();
    let selection = orlop::Selection::compile(&SelectionRule::All).unwrap();
    let mut spots = Vec::new();
    walk(&document, &selection, |place| -> Result<(), WalkError> {
        spots.push(match place.spot {
            Spot::Comment(comment) => {
                let text = comment.span.of(document.bytes());
                (COMMENT.to_owned(), String::from_utf8_lossy(text).into_owned())
            }
            Spot::Leaf(leaf) => {
                let value = store.read(&document, leaf).unwrap();
                let value = value.map_or("null".to_owned(), |value| {
                    let kind = if value.kind() == orlop::Kind::Float { "int" } else { value.kind().name() };
                    format!("{kind}: {:?}", String::from_utf8_lossy(value.expose()))
                });
                (place.path.to_string(), value)
            }
        });
        Ok(())
    })
    .unwrap();
    spots
}
