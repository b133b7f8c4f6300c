//! Helm's command line: which words name files that helm will read as values.
//!
//! Helm's flags are read by Go's pflag, so this module follows pflag's grammar and cobra's way of finding
//! the command among the words. It decides nothing about the files: it says where in which word a file
//! name stands, and puts another name there. Everything else passes byte for byte, in any encoding.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::PathBuf;

/// A helm command line, taken apart as far as file names go.
pub(crate) struct Plan {
    pieces: Vec<Piece>,
}

/// One word of the command line.
enum Piece {
    Pass(OsString),
    Rewrite { word: OsString, mentions: Vec<Mention> },
}

/// A place in a word where a file is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// Bytes of the word that a replacement takes the place of: the name with its quotes and escapes.
    span: Range<usize>,
    /// The name as helm will understand it.
    pub(crate) file: PathBuf,
    /// What helm does with the content.
    pub(crate) purpose: Use,
}

/// What helm does with the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    /// `-f`, `--values`: helm reads it as YAML, whatever its name.
    Values,
    /// `--set-file`: the text becomes one value, as it stands.
    Verbatim,
}

impl Plan {
    /// Reads the words that follow the program's name.
    ///
    /// A word this function cannot make sense of passes as it is: helm will say what is wrong with it.
    pub(crate) fn read(words: Vec<OsString>) -> Self {
        let Some((command, grammar)) = find_command(&words) else {
            return Self { pieces: words.into_iter().map(Piece::Pass).collect() };
        };
        let mut waiting = None;
        let mut operands_only = false;
        let pieces = words
            .into_iter()
            .enumerate()
            .map(|(index, word)| {
                // cobra takes the command's word out before pflag sees the line, so a flag before it
                // may wait for the word after it.
                if index == command || operands_only {
                    return Piece::Pass(word);
                }
                if let Some(flag) = waiting.take() {
                    return piece(word, 0, flag, grammar);
                }
                match parse_word(word.as_encoded_bytes(), grammar) {
                    Word::Operand => Piece::Pass(word),
                    Word::OperandsFollow => {
                        operands_only = true;
                        Piece::Pass(word)
                    }
                    Word::ValueFollows(flag) => {
                        waiting = Some(flag);
                        Piece::Pass(word)
                    }
                    Word::ValueAt(start, flag) => piece(word, start, flag, grammar),
                }
            })
            .collect();
        Self { pieces }
    }

    /// Every mention of a file, in the order of the words.
    pub(crate) fn mentions(&self) -> impl Iterator<Item = &Mention> {
        self.pieces.iter().flat_map(|piece| match piece {
            Piece::Pass(_) => [].iter(),
            Piece::Rewrite { mentions, .. } => mentions.iter(),
        })
    }

    /// The words to start helm with: `replacement` names what stands in for a file, or `None` to keep the name.
    pub(crate) fn render<E>(
        self,
        mut replacement: impl FnMut(&Mention) -> Result<Option<OsString>, E>,
    ) -> Result<Vec<OsString>, E> {
        let mut words = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces {
            words.push(match piece {
                Piece::Pass(word) => word,
                Piece::Rewrite { word, mentions } => {
                    let mut splices = Vec::new();
                    for mention in &mentions {
                        if let Some(name) = replacement(mention)? {
                            splices.push((mention.span.clone(), name));
                        }
                    }
                    splice(&word, &splices)
                }
            });
        }
        Ok(words)
    }
}

/// What a flag does with the word after it, and with the files it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    /// `-f`, `--values`: a list of files, one CSV record.
    Values,
    /// `--set-file`: `key=file,key=file` in helm's own notation.
    SetFile,
    /// Takes a value that names no values file.
    Other,
    /// Takes no value, or takes one only after `=`.
    Switch,
}

/// Whose flags are on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grammar {
    /// `install`, `template` and `lint`, of Helm 3 and Helm 4: their tables do not contradict each other.
    Helm,
    /// `upgrade`, where alone Helm 4's `--server-side` takes a word.
    Upgrade,
    /// The diff plugin, which follows `upgrade`.
    Diff,
    /// Any other plugin: only flags that mean the same everywhere are known.
    ///
    /// An unknown flag is taken for one without a value. If it does take one, nothing is lost as long as
    /// that value does not begin with `-`: the word is then an operand to us and a value to the plugin, and
    /// neither names a values file.
    Plugin,
}

/// Flags that take a value in every command, plugins included: helm's global ones and the `--set` family.
const GLOBAL: &[&str] = &[
    "burst-limit",
    "content-cache",
    "kube-apiserver",
    "kube-as-group",
    "kube-as-user",
    "kube-ca-file",
    "kube-context",
    "kube-tls-server-name",
    "kube-token",
    "kubeconfig",
    "namespace",
    "qps",
    "registry-config",
    "repository-cache",
    "repository-config",
    "set",
    "set-json",
    "set-literal",
    "set-string",
];

/// Flags of `install`, `upgrade`, `template` and `lint` that take a value, with those of `diff upgrade`.
///
/// Not here, because their value comes only after `=`: `--dry-run`, Helm 4's `--wait`.
const COMMAND: &[&str] = &[
    "api-versions",
    "ca-file",
    "cert-file",
    "description",
    "history-max",
    "key-file",
    "keyring",
    "kube-version",
    "labels",
    "name-template",
    "output",
    "output-dir",
    "password",
    "post-renderer",
    "post-renderer-args",
    "repo",
    "show-only",
    "timeout",
    "username",
    "version",
];

/// Flags that take a value in the diff plugin only.
const DIFF: &[&str] = &["context", "find-renames", "release", "suppress", "suppress-output-line-regex"];

/// Helm's own commands that read no values, with their aliases; on any other name a plugin may listen.
const NO_VALUES: &[&str] = &[
    "__complete",
    "__completeNoDesc",
    "completion",
    "create",
    "del",
    "delete",
    "dep",
    "dependencies",
    "dependency",
    "docs",
    "env",
    "fetch",
    "get",
    "help",
    "hist",
    "history",
    "inspect",
    "list",
    "ls",
    "package",
    "plugin",
    "pull",
    "push",
    "registry",
    "repo",
    "rollback",
    "search",
    "show",
    "status",
    "test",
    "un",
    "uninstall",
    "verify",
    "version",
];

impl Grammar {
    /// The grammar of a command, `None` where no flag names a values file.
    fn of(command: &[u8]) -> Option<Self> {
        match command {
            b"install" | b"template" | b"lint" => Some(Self::Helm),
            b"upgrade" => Some(Self::Upgrade),
            b"diff" => Some(Self::Diff),
            other => (!listed(NO_VALUES, other)).then_some(Self::Plugin),
        }
    }

    fn long(self, name: &[u8]) -> Flag {
        let takes_value = listed(GLOBAL, name)
            || match (self, name) {
                (Self::Plugin, _) => false,
                // `--color` takes a word in Helm 4 and none in the diff plugin.
                (Self::Helm | Self::Upgrade, b"color" | b"colour") => true,
                (Self::Upgrade | Self::Diff, b"server-side") => true,
                (Self::Diff, name) if listed(DIFF, name) => true,
                (_, name) => listed(COMMAND, name),
            };
        match name {
            b"values" => Flag::Values,
            b"set-file" => Flag::SetFile,
            _ if takes_value => Flag::Other,
            _ => Flag::Switch,
        }
    }

    fn short(self, letter: u8) -> Flag {
        match (self, letter) {
            (_, b'f') => Flag::Values,
            (_, b'n') => Flag::Other,
            (Self::Helm | Self::Upgrade, b'a' | b'l' | b'o' | b's') => Flag::Other,
            (Self::Diff, b'a' | b'C' | b'D') => Flag::Other,
            _ => Flag::Switch,
        }
    }
}

fn listed(table: &[&str], name: &[u8]) -> bool {
    table.iter().any(|entry| entry.as_bytes() == name)
}

/// Finds the command as cobra does: the first word that is neither a flag nor the value of one.
///
/// At this point cobra knows the global flags only, so it takes the word after any other `--flag` and
/// after any single letter for a value.
fn find_command(words: &[OsString]) -> Option<(usize, Grammar)> {
    let mut is_value = false;
    for (index, word) in words.iter().enumerate() {
        if std::mem::take(&mut is_value) {
            continue;
        }
        match word.as_encoded_bytes() {
            b"--" => return None,
            b"--debug" | b"--kube-insecure-skip-tls-verify" | b"--help" | b"-h" => {}
            [b'-', b'-', name @ ..] => is_value = !name.contains(&b'='),
            [b'-', letters @ ..] => is_value = letters.len() == 1 && letters != b"=",
            [] => {}
            name => return Grammar::of(name).map(|grammar| (index, grammar)),
        }
    }
    None
}

/// A word as pflag takes it.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Operand,
    /// `--`
    OperandsFollow,
    ValueFollows(Flag),
    /// The flag's value begins at this byte of the same word.
    ValueAt(usize, Flag),
}

fn parse_word(word: &[u8], grammar: Grammar) -> Word {
    match word {
        b"--" => Word::OperandsFollow,
        [b'-', b'-', text @ ..] => {
            let equals = text.iter().position(|&byte| byte == b'=');
            let flag = grammar.long(&text[..equals.unwrap_or(text.len())]);
            match (equals, flag) {
                (Some(equals), flag) => Word::ValueAt(2 + equals + 1, flag),
                (None, Flag::Switch) => Word::Operand,
                (None, flag) => Word::ValueFollows(flag),
            }
        }
        [b'-', letters @ ..] => parse_cluster(letters, grammar),
        _ => Word::Operand,
    }
}

/// `-f`, `-fX`, `-f=X`, `-ifX`: letters up to the first that takes a value, which is the rest or the next word.
fn parse_cluster(letters: &[u8], grammar: Grammar) -> Word {
    for (index, &letter) in letters.iter().enumerate() {
        let flag = grammar.short(letter);
        match &letters[index + 1..] {
            // pflag: a lone `=` at the end is the value `=`, not an empty one.
            [b'=', _, ..] => return Word::ValueAt(1 + index + 2, flag),
            _ if flag == Flag::Switch => {}
            [] => return Word::ValueFollows(flag),
            _ => return Word::ValueAt(1 + index + 1, flag),
        }
    }
    Word::Operand
}

/// A word whose bytes from `start` on are the value of `flag`.
fn piece(word: OsString, start: usize, flag: Flag, grammar: Grammar) -> Piece {
    // Without Unix' free bytes a word can be cut only as text.
    if cfg!(not(unix)) && word.to_str().is_none() {
        return Piece::Pass(word);
    }
    let value = &word.as_encoded_bytes()[start..];
    let (names, purpose) = match flag {
        Flag::Values => {
            // The diff plugin cuts at every comma and knows no quotes; other plugins may do either.
            let plugin = matches!(grammar, Grammar::Diff | Grammar::Plugin);
            let names = csv_fields(value).or_else(|| plugin.then(|| comma_fields(value)));
            (names.unwrap_or_default(), Use::Values)
        }
        Flag::SetFile => (set_file_names(value), Use::Verbatim),
        Flag::Other | Flag::Switch => return Piece::Pass(word),
    };
    let mentions: Vec<Mention> = names
        .into_iter()
        .filter(|(_, name)| is_local_file(name))
        .filter_map(|(span, name)| {
            let file = PathBuf::from(os_string(name)?);
            Some(Mention { span: start + span.start..start + span.end, file, purpose })
        })
        .collect();
    if mentions.is_empty() { Piece::Pass(word) } else { Piece::Rewrite { word, mentions } }
}

/// A part of a value, as bytes of it and as the name those bytes mean.
type Named = (Range<usize>, Vec<u8>);

/// The fields of the first record, by the rules of Go's `encoding/csv`; `None` if it would refuse the text.
fn csv_fields(value: &[u8]) -> Option<Vec<Named>> {
    // Empty lines before the record are skipped, further records are never looked at.
    let mut at = 0;
    while let Some(length) = line_end_at(value, at) {
        at += length;
    }
    let mut fields = Vec::new();
    if at == value.len() {
        return Some(fields);
    }
    loop {
        let start = at;
        let mut name = Vec::new();
        if value.get(at) == Some(&b'"') {
            at += 1;
            loop {
                match value.get(at)? {
                    b'"' if value.get(at + 1) == Some(&b'"') => {
                        name.push(b'"');
                        at += 2;
                    }
                    b'"' => {
                        at += 1;
                        break;
                    }
                    b'\r' if value.get(at + 1) == Some(&b'\n') => at += 1,
                    &byte => {
                        name.push(byte);
                        at += 1;
                    }
                }
            }
        } else {
            while at < value.len() && value[at] != b',' && !ends_line(value, at) {
                if value[at] == b'"' {
                    return None;
                }
                name.push(value[at]);
                at += 1;
            }
        }
        fields.push((start..at, name));
        if at == value.len() || ends_line(value, at) {
            return Some(fields);
        }
        if value[at] != b',' {
            return None;
        }
        at += 1;
    }
}

/// Length of the line end at `at`, if there is one.
fn line_end_at(value: &[u8], at: usize) -> Option<usize> {
    match &value[at..] {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// Whether the line's content ends at `at`; Go also drops a `\r` that is the very last byte.
fn ends_line(value: &[u8], at: usize) -> bool {
    line_end_at(value, at).is_some() || &value[at..] == b"\r"
}

/// The parts between commas.
fn comma_fields(value: &[u8]) -> Vec<Named> {
    let mut start = 0;
    value
        .split(|&byte| byte == b',')
        .map(|field| {
            let span = start..start + field.len();
            start = span.end + 1;
            (span, field.to_vec())
        })
        .collect()
}

/// The file names in `key=file,list={file,file},a.b[0]=file`, where a backslash makes any character plain.
///
/// Where helm would stop with an error, the names found so far are returned.
fn set_file_names(value: &[u8]) -> Vec<Named> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < value.len() {
        // The key, to its `=`. Helm looks for nothing but `]` inside an index.
        let mut in_index = false;
        loop {
            match value.get(at) {
                None => return names,
                Some(b'\\') => at += 1,
                Some(b']') if in_index => in_index = false,
                Some(_) if in_index => {}
                Some(b'[') => in_index = true,
                Some(b',') => return names,
                Some(b'=') => break,
                Some(_) => {}
            }
            at += 1;
        }
        at += 1;
        if value.get(at) == Some(&b'{') {
            at += 1;
            loop {
                let (name, end) = unescape_until(value, at, b",}");
                let closed = value.get(end) == Some(&b'}');
                if end == value.len() {
                    return names;
                }
                names.push((at..end, name));
                at = end + 1;
                if closed {
                    break;
                }
            }
            if value.get(at) == Some(&b',') {
                at += 1;
            }
        } else {
            let (name, end) = unescape_until(value, at, b",");
            names.push((at..end, name));
            at = end + 1;
        }
    }
    names
}

/// The text from `start` to the first of `stops` that has no backslash before it, and where that is.
fn unescape_until(value: &[u8], start: usize, stops: &[u8]) -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    let mut at = start;
    while at < value.len() && !stops.contains(&value[at]) {
        if value[at] == b'\\' {
            at += 1;
        }
        text.extend(value.get(at));
        at += 1;
    }
    (text, at.min(value.len()))
}

/// Whether helm would open `name` as a file: not standard input (`-`), not a URL.
fn is_local_file(name: &[u8]) -> bool {
    let is_url = || {
        let Some(scheme) = name.windows(3).position(|window| window == b"://") else { return false };
        let scheme = &name[..scheme];
        scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
    };
    !name.is_empty() && name.trim_ascii() != b"-" && !is_url()
}

/// `word` with other text in some places; the spans are in order and do not overlap.
fn splice(word: &OsStr, splices: &[(Range<usize>, OsString)]) -> OsString {
    let bytes = word.as_encoded_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for (span, name) in splices {
        text.extend_from_slice(&bytes[copied..span.start]);
        text.extend_from_slice(name.as_encoded_bytes());
        copied = span.end;
    }
    text.extend_from_slice(&bytes[copied..]);
    os_string(text).expect("a word that is no text was passed, and what replaces a name is text")
}

/// The bytes as a word: any bytes on Unix, text elsewhere.
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    #[cfg(unix)]
    {
        Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
    }
    #[cfg(not(unix))]
    {
        String::from_utf8(bytes).ok().map(OsString::from)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;

    /// The words with every mentioned file in angle brackets.
    fn marked(words: &[&str]) -> Vec<String> {
        let plan = Plan::read(words.iter().map(OsString::from).collect());
        let words =
            plan.render(|mention| Ok::<_, Infallible>(Some(format!("<{}>", mention.file.display()).into())));
        words.unwrap().into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    /// Each row: a command line, and the same with the mentioned files marked.
    fn check(rows: &[(&[&str], &[&str])]) {
        for (words, expected) in rows {
            assert_eq!(marked(words), *expected, "{words:?}");
        }
    }

    #[test]
    fn every_spelling_of_the_values_flag_is_found() {
        check(&[
            (&["template", "r", "c", "-f", "a.yaml"], &["template", "r", "c", "-f", "<a.yaml>"]),
            (&["template", "r", "c", "-fa.yaml"], &["template", "r", "c", "-f<a.yaml>"]),
            (&["template", "r", "c", "-f=a.yaml"], &["template", "r", "c", "-f=<a.yaml>"]),
            (&["template", "r", "c", "--values", "a.yaml"], &["template", "r", "c", "--values", "<a.yaml>"]),
            (&["template", "r", "c", "--values=a.yaml"], &["template", "r", "c", "--values=<a.yaml>"]),
            (&["template", "-f", "a.yaml", "r", "c"], &["template", "-f", "<a.yaml>", "r", "c"]),
            (&["-f", "a.yaml", "template", "r", "c"], &["-f", "<a.yaml>", "template", "r", "c"]),
            (&["-fa.yaml", "template", "r", "c"], &["-f<a.yaml>", "template", "r", "c"]),
            (&["--values", "a.yaml", "template", "r"], &["--values", "<a.yaml>", "template", "r"]),
            (&["--values=a.yaml", "template", "r"], &["--values=<a.yaml>", "template", "r"]),
            (&["install", "-gf", "a.yaml", "c"], &["install", "-gf", "<a.yaml>", "c"]),
            (&["install", "-gfa.yaml", "c"], &["install", "-gf<a.yaml>", "c"]),
            (&["install", "-gf=a.yaml", "c"], &["install", "-gf=<a.yaml>", "c"]),
            (&["upgrade", "-if", "a.yaml", "r", "c"], &["upgrade", "-if", "<a.yaml>", "r", "c"]),
            (&["upgrade", "-iifa.yaml", "r", "c"], &["upgrade", "-iif<a.yaml>", "r", "c"]),
            (&["upgrade", "-if", "a.yaml,b.yaml", "r"], &["upgrade", "-if", "<a.yaml>,<b.yaml>", "r"]),
            (&["lint", "-f", "a.yaml", "c"], &["lint", "-f", "<a.yaml>", "c"]),
            (&["lint", "c", "-f", "a", "-f", "b"], &["lint", "c", "-f", "<a>", "-f", "<b>"]),
            (&["template", "-f", "-a.yaml", "c"], &["template", "-f", "<-a.yaml>", "c"]),
            (&["template", "-f", "--", "-f", "b"], &["template", "-f", "<-->", "-f", "<b>"]),
            (&["template", "-f="], &["template", "-f<=>"]),
            (&["template", "-f==a"], &["template", "-f=<=a>"]),
        ]);
    }

    #[test]
    fn a_flag_in_front_of_the_command_may_wait_for_the_word_behind_it() {
        // cobra takes `upgrade` out first, so pflag sees `-if a.yaml`.
        check(&[(&["-if", "upgrade", "a.yaml", "r", "c"], &["-if", "upgrade", "<a.yaml>", "r", "c"])]);
    }

    #[test]
    fn the_values_of_other_flags_are_left_alone() {
        check(&[
            (&["template", "--set", "-f", "a"], &["template", "--set", "-f", "a"]),
            (&["template", "--set-string", "-f", "a"], &["template", "--set-string", "-f", "a"]),
            (&["template", "--set-json", "--values", "a"], &["template", "--set-json", "--values", "a"]),
            (&["template", "--set-literal", "-f", "a"], &["template", "--set-literal", "-f", "a"]),
            (&["upgrade", "--description", "-f", "a"], &["upgrade", "--description", "-f", "a"]),
            (&["template", "-n", "-f", "a"], &["template", "-n", "-f", "a"]),
            (&["template", "--namespace", "-f", "a"], &["template", "--namespace", "-f", "a"]),
            (&["template", "-nf", "a"], &["template", "-nf", "a"]),
            (&["template", "-n=-f", "a"], &["template", "-n=-f", "a"]),
            (&["template", "-a", "-f", "-f", "a"], &["template", "-a", "-f", "-f", "<a>"]),
            (&["template", "-s", "-f", "-f", "a"], &["template", "-s", "-f", "-f", "<a>"]),
            (&["template", "-sf", "-f", "a"], &["template", "-sf", "-f", "<a>"]),
            (&["upgrade", "-o", "-f", "-f", "a"], &["upgrade", "-o", "-f", "-f", "<a>"]),
            (&["upgrade", "-l", "-f", "-f", "a"], &["upgrade", "-l", "-f", "-f", "<a>"]),
            (&["upgrade", "-ilf", "-f", "a"], &["upgrade", "-ilf", "-f", "<a>"]),
            (&["upgrade", "--set=x", "-f", "a"], &["upgrade", "--set=x", "-f", "<a>"]),
            (&["upgrade", "--server-side", "-f", "a"], &["upgrade", "--server-side", "-f", "a"]),
            (
                &["upgrade", "--post-renderer-args", "-f", "a"],
                &["upgrade", "--post-renderer-args", "-f", "a"],
            ),
            (&["upgrade", "--color", "-f", "a"], &["upgrade", "--color", "-f", "a"]),
        ]);
    }

    #[test]
    fn flags_without_a_value_do_not_take_the_next_word() {
        check(&[
            (&["install", "--server-side", "-f", "a"], &["install", "--server-side", "-f", "<a>"]),
            (&["upgrade", "--install", "-f", "a"], &["upgrade", "--install", "-f", "<a>"]),
            (&["upgrade", "-i", "-f", "a"], &["upgrade", "-i", "-f", "<a>"]),
            (&["upgrade", "-i=true", "-f", "a"], &["upgrade", "-i=true", "-f", "<a>"]),
            (&["upgrade", "-i=f", "a"], &["upgrade", "-i=f", "a"]),
            (&["upgrade", "--dry-run", "-f", "a"], &["upgrade", "--dry-run", "-f", "<a>"]),
            (&["upgrade", "--dry-run=server", "-f", "a"], &["upgrade", "--dry-run=server", "-f", "<a>"]),
            (&["upgrade", "--wait", "-f", "a"], &["upgrade", "--wait", "-f", "<a>"]),
            (&["--debug", "upgrade", "-f", "a"], &["--debug", "upgrade", "-f", "<a>"]),
            (
                &["--kube-insecure-skip-tls-verify", "upgrade", "-f", "a"],
                &["--kube-insecure-skip-tls-verify", "upgrade", "-f", "<a>"],
            ),
        ]);
    }

    #[test]
    fn a_list_of_files_is_read_as_csv() {
        check(&[
            (&["lint", "-f", "a,b"], &["lint", "-f", "<a>,<b>"]),
            (&["lint", "--values=a,b,c"], &["lint", "--values=<a>,<b>,<c>"]),
            (&["lint", "-f", "\"a,b.yaml\""], &["lint", "-f", "<a,b.yaml>"]),
            (&["lint", "-f", "x,\"a,b\",y"], &["lint", "-f", "<x>,<a,b>,<y>"]),
            (&["lint", "-f", "\"say \"\"hi\"\"\""], &["lint", "-f", "<say \"hi\">"]),
            (&["lint", "-f", "\"a\nb\""], &["lint", "-f", "<a\nb>"]),
            (&["lint", "-f", "\"a\r\nb\""], &["lint", "-f", "<a\nb>"]),
            (&["lint", "-f", " a , b"], &["lint", "-f", "< a >,< b>"]),
            (&["lint", "-f", "a\\,b"], &["lint", "-f", "<a\\>,<b>"]),
            (&["lint", "-f", "a\nb"], &["lint", "-f", "<a>\nb"]),
            (&["lint", "-f", "\n\r\na,b"], &["lint", "-f", "\n\r\n<a>,<b>"]),
            (&["lint", "-f", "a\r"], &["lint", "-f", "<a>\r"]),
            (&["lint", "-f", "a,,b"], &["lint", "-f", "<a>,,<b>"]),
            (&["lint", "-f", "a,"], &["lint", "-f", "<a>,"]),
            (&["lint", "-f", ""], &["lint", "-f", ""]),
            (&["lint", "--values="], &["lint", "--values="]),
            (&["lint", "-f", "\n"], &["lint", "-f", "\n"]),
            (&["lint", "-f", "äö.yaml,ü"], &["lint", "-f", "<äö.yaml>,<ü>"]),
        ]);
    }

    #[test]
    fn a_list_that_go_refuses_passes_for_helm_to_complain_about() {
        check(&[
            (&["lint", "-f", "a\"b"], &["lint", "-f", "a\"b"]),
            (&["lint", "-f", "\"a\"b"], &["lint", "-f", "\"a\"b"]),
            (&["lint", "-f", "\"a"], &["lint", "-f", "\"a"]),
        ]);
    }

    #[test]
    fn set_file_names_a_file_after_each_key() {
        check(&[
            (&["lint", "--set-file", "k=a"], &["lint", "--set-file", "k=<a>"]),
            (&["lint", "--set-file=k=a"], &["lint", "--set-file=k=<a>"]),
            (&["lint", "--set-file", "k=a,l=b"], &["lint", "--set-file", "k=<a>,l=<b>"]),
            (&["lint", "--set-file", "a.b[0].c=x"], &["lint", "--set-file", "a.b[0].c=<x>"]),
            (&["lint", "--set-file", "k={a,b},l=c"], &["lint", "--set-file", "k={<a>,<b>},l=<c>"]),
            (&["lint", "--set-file", "k={a}l=c"], &["lint", "--set-file", "k={<a>}l=<c>"]),
            (&["lint", "--set-file", "k=a\\,b"], &["lint", "--set-file", "k=<a,b>"]),
            (&["lint", "--set-file", "k=a=b"], &["lint", "--set-file", "k=<a=b>"]),
            (&["lint", "--set-file", "k\\=x=a"], &["lint", "--set-file", "k\\=x=<a>"]),
            (&["lint", "--set-file", "k\\,x=a"], &["lint", "--set-file", "k\\,x=<a>"]),
            (&["lint", "--set-file", "k=a\\\\,l=b"], &["lint", "--set-file", "k=<a\\>,l=<b>"]),
            (&["lint", "--set-file", "k=a}b"], &["lint", "--set-file", "k=<a}b>"]),
            (&["lint", "--set-file", "k=\"a,l=b"], &["lint", "--set-file", "k=<\"a>,l=<b>"]),
            (&["lint", "--set-file", "k=a,"], &["lint", "--set-file", "k=<a>,"]),
            (&["lint", "--set-file", "k="], &["lint", "--set-file", "k="]),
            (&["lint", "--set-file", "a"], &["lint", "--set-file", "a"]),
            (&["lint", "--set-file", "k,l=a"], &["lint", "--set-file", "k,l=a"]),
            (&["lint", "--set-file", "k={a"], &["lint", "--set-file", "k={a"]),
            (&["lint", "--set-file", "k=a\\"], &["lint", "--set-file", "k=<a>"]),
        ]);
    }

    #[test]
    fn standard_input_and_urls_are_no_files() {
        check(&[
            (&["lint", "-f", "-"], &["lint", "-f", "-"]),
            (&["lint", "-f", " - ,a"], &["lint", "-f", " - ,<a>"]),
            (&["lint", "-f-"], &["lint", "-f-"]),
            (&["lint", "-f", "https://h/v.yaml,b"], &["lint", "-f", "https://h/v.yaml,<b>"]),
            (&["lint", "-f", "git+ssh://h/v"], &["lint", "-f", "git+ssh://h/v"]),
            (&["lint", "-f", "secrets://a"], &["lint", "-f", "secrets://a"]),
            (&["lint", "--set-file", "k=s3://b/o"], &["lint", "--set-file", "k=s3://b/o"]),
            (&["lint", "-f", "../x://y"], &["lint", "-f", "<../x://y>"]),
        ]);
    }

    #[test]
    fn nothing_is_looked_at_after_two_dashes() {
        check(&[
            (&["lint", "-f", "a", "--", "-f", "b"], &["lint", "-f", "<a>", "--", "-f", "b"]),
            (&["--", "lint", "-f", "b"], &["--", "lint", "-f", "b"]),
        ]);
    }

    #[test]
    fn commands_without_values_files_pass_whole() {
        check(&[
            (&["list", "-f", "a"], &["list", "-f", "a"]),
            (&["ls", "-f", "a"], &["ls", "-f", "a"]),
            (&["-n", "lint", "list", "-f", "a"], &["-n", "lint", "list", "-f", "a"]),
            (&["--kube-context", "lint", "list", "-f", "a"], &["--kube-context", "lint", "list", "-f", "a"]),
            (&["__complete", "lint", "-f", "a"], &["__complete", "lint", "-f", "a"]),
            (&["package", "c", "--values", "a"], &["package", "c", "--values", "a"]),
            (&["repo", "add", "-f", "a"], &["repo", "add", "-f", "a"]),
            (&["-f", "a"], &["-f", "a"]),
            (&[], &[]),
        ]);
    }

    #[test]
    fn plugins_get_their_values_files_too() {
        check(&[
            (&["diff", "upgrade", "r", "c", "-f", "a"], &["diff", "upgrade", "r", "c", "-f", "<a>"]),
            (&["diff", "upgrade", "-C", "-f", "-f", "a"], &["diff", "upgrade", "-C", "-f", "-f", "<a>"]),
            (&["diff", "upgrade", "-C5", "-qf", "a"], &["diff", "upgrade", "-C5", "-qf", "<a>"]),
            (&["diff", "upgrade", "--color", "-f", "a"], &["diff", "upgrade", "--color", "-f", "<a>"]),
            (&["diff", "upgrade", "--context", "-f", "a"], &["diff", "upgrade", "--context", "-f", "a"]),
            (&["diff", "upgrade", "-f", "a\"b,c"], &["diff", "upgrade", "-f", "<a\"b>,<c>"]),
            (&["unittest", "--strict", "-f", "a", "c"], &["unittest", "--strict", "-f", "<a>", "c"]),
            (&["any", "--unknown", "x", "-f", "a"], &["any", "--unknown", "x", "-f", "<a>"]),
            (&["any", "--set", "-f", "--values=a"], &["any", "--set", "-f", "--values=<a>"]),
        ]);
    }

    #[test]
    fn a_flag_whose_value_is_missing_passes() {
        check(&[(&["lint", "-f"], &["lint", "-f"]), (&["lint", "--values"], &["lint", "--values"])]);
    }

    #[test]
    fn a_mention_says_what_helm_does_with_the_file() {
        let words = ["lint", "-f", "a,b", "--set-file", "k=c"].map(OsString::from).to_vec();
        let mentions: Vec<_> = Plan::read(words)
            .mentions()
            .map(|mention| (mention.file.to_str().unwrap().to_owned(), mention.purpose))
            .collect();
        let expected = [("a", Use::Values), ("b", Use::Values), ("c", Use::Verbatim)];
        assert_eq!(mentions, expected.map(|(file, purpose)| (file.to_owned(), purpose)));
    }

    #[test]
    fn names_without_a_replacement_keep_their_spelling() {
        let words = ["lint", "-f", "\"a\",b,\"c\"", "--set-file", "k={a\\,,b}"].map(OsString::from).to_vec();
        let unchanged = Plan::read(words.clone()).render(|_| Ok::<_, Infallible>(None)).unwrap();
        assert_eq!(unchanged, words);
        let only_b = Plan::read(words)
            .render(|mention| Ok::<_, Infallible>((mention.file == Path::new("b")).then(|| "/fd".into())))
            .unwrap();
        assert_eq!(only_b[2], "\"a\",/fd,\"c\"");
        assert_eq!(only_b[4], "k={a\\,,/fd}");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_survive() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(b"\xff\xfe.yaml,plain\xfa".to_vec());
        let words = vec!["lint".into(), "-f".into(), odd, OsString::from_vec(b"op\xff".to_vec())];
        let plan = Plan::read(words);
        let names: Vec<_> =
            plan.mentions().map(|mention| mention.file.clone().into_os_string().into_vec()).collect();
        assert_eq!(names, [b"\xff\xfe.yaml".to_vec(), b"plain\xfa".to_vec()]);
        let mut first = true;
        let words =
            plan.render(|_| Ok::<_, Infallible>(std::mem::take(&mut first).then(|| "X".into()))).unwrap();
        assert_eq!(words[2].clone().into_vec(), b"X,plain\xfa");
        assert_eq!(words[3].clone().into_vec(), b"op\xff");
    }

    #[test]
    fn a_thousand_api_versions_cost_under_ten_milliseconds() {
        let mut words: Vec<OsString> = vec!["template".into(), "r".into(), "c".into()];
        for number in 0..1000 {
            words.push("--api-versions".into());
            words.push(format!("example.com/v1/Kind{number}").into());
        }
        words.extend(["-f".into(), "a.yaml".into()]);
        let start = Instant::now();
        let plan = Plan::read(words);
        let words = plan.render(|_| Ok::<_, Infallible>(Some("/fd".into()))).unwrap();
        assert!(start.elapsed() < Duration::from_millis(10), "{:?}", start.elapsed());
        assert_eq!(words.last().unwrap(), "/fd");
    }
}
