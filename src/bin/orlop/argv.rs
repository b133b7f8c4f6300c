//! Command lines as sops reads them, turned into the one spelling that clap reads.
//!
//! sops' grammar is that of Go: `-flag` is `--flag`, short flags are not bundled, a flag's value is the next word
//! whatever it looks like, the last of several values wins, and a boolean takes its value behind `=` only. Options
//! before the command end at the first word that is none; options of a command may stand anywhere behind it.
//! What comes out is `--flag=value` for each flag that has a value, then the command, its flags, `--`, the words.

use std::ffi::{OsStr, OsString};

use orlop::Env;

/// A command line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// A flag that does not exist here.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// A word such as `---x` or `-=x`.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// A flag at the end that needs a value.
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    /// A boolean that is neither.
    #[error("invalid boolean value {value:?} for {from}")]
    NotABoolean {
        /// The flag or variable.
        from: String,
        /// What was given.
        value: String,
    },
    /// A number that is none.
    #[error("invalid value {value:?} for {from}: it is not a whole number")]
    NotANumber {
        /// The flag or variable.
        from: String,
        /// What was given.
        value: String,
    },
    /// The same flag by its short and its long name.
    #[error("Cannot use two forms of the same flag: {0} {1}")]
    TwoForms(String, String),
}

/// A flag as far as reading it is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag<'c> {
    pub(crate) long: &'c str,
    /// The other long name.
    pub(crate) alias: Option<&'c str>,
    pub(crate) short: Option<char>,
    pub(crate) takes: Takes,
    pub(crate) variable: Option<&'static str>,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing, or `=true` and `=false`.
    Bool,
    /// A text, of which the last counts.
    Text,
    /// A whole number.
    Number,
    /// Texts, which all count.
    List,
}

/// The flags of a command and the commands below it.
pub(crate) struct Grammar<'c> {
    pub(crate) flags: Vec<Flag<'c>>,
}

impl<'c> Grammar<'c> {
    /// The grammar of a clap command; it must have been built without help and version flags of clap's own.
    pub(crate) fn of(command: &'c clap::Command, variable_of: fn(&str) -> Option<&'static str>) -> Self {
        let flag = |arg: &'c clap::Arg| {
            let long = arg.get_long()?;
            let takes = match arg.get_action() {
                clap::ArgAction::SetTrue => Takes::Bool,
                clap::ArgAction::Append => Takes::List,
                _ if arg.is_require_equals_set() => Takes::Bool,
                _ if arg.is_allow_negative_numbers_set() => Takes::Number,
                _ => Takes::Text,
            };
            let alias = arg.get_visible_aliases().and_then(|aliases| aliases.first().copied());
            Some(Flag { long, alias, short: arg.get_short(), takes, variable: variable_of(long) })
        };
        Self { flags: command.get_arguments().filter_map(flag).collect() }
    }

    fn position(&self, name: &str) -> Option<usize> {
        let mut letters = name.chars();
        let letter = letters.next().filter(|_| letters.next().is_none());
        self.flags.iter().position(|flag| {
            flag.long == name || flag.alias == Some(name) || (letter.is_some() && flag.short == letter)
        })
    }
}

/// What was read of one level of a command line.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The flags in clap's spelling.
    pub(crate) flags: Vec<OsString>,
    /// Long names of the flags that stood in the words, not in a variable.
    pub(crate) given: Vec<String>,
    /// Whether help was asked for.
    pub(crate) wants_help: bool,
    /// The words that are no flags.
    pub(crate) words: Vec<OsString>,
}

/// Reads flags until the first word that is none.
pub(crate) fn read_strictly(
    grammar: &Grammar<'_>,
    words: Vec<OsString>,
    env: &Env,
) -> Result<Read, UsageError> {
    let mut values: Vec<Values> = grammar.flags.iter().map(|_| Values::default()).collect();
    let mut read = Read::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some((name, value)) = split_flag(&word)? else {
            // Two dashes are the end of the flags and no word themselves.
            read.words.extend((word != "--").then_some(word));
            break;
        };
        if matches!(name.as_str(), "h" | "help") {
            read.wants_help = true;
            continue;
        }
        let at = grammar.position(&name).ok_or_else(|| UsageError::Unknown(name.clone()))?;
        let flag = &grammar.flags[at];
        let value = match (flag.takes, value) {
            (Takes::Bool, value) => value.unwrap_or_else(|| "true".into()),
            (_, Some(value)) => value,
            (_, None) => words.next().ok_or_else(|| UsageError::NoValue(name.clone()))?,
        };
        values[at].add(name, value)?;
    }
    read.words.extend(words);
    for (flag, values) in grammar.flags.iter().zip(values) {
        read.given.extend(values.name.as_ref().map(|_| flag.long.to_owned()));
        for value in values.settled(flag, env)? {
            let mut word = OsString::from(format!("--{}", flag.long));
            if let Some(value) = value {
                word.push("=");
                word.push(value);
            }
            read.flags.push(word);
        }
    }
    Ok(read)
}

/// Reads flags wherever they stand, up to `--`.
///
/// `takes_any_value`: sops takes the word behind a boolean along with it, so that words change their order.
pub(crate) fn read_anywhere(
    grammar: &Grammar<'_>,
    words: Vec<OsString>,
    env: &Env,
    takes_any_value: bool,
) -> Result<Read, UsageError> {
    let known = |word: &OsStr| match split_flag(word) {
        Ok(Some((name, value))) => {
            let is_help = matches!(name.as_str(), "h" | "help");
            let flag = grammar.position(&name).map(|at| grammar.flags[at].takes);
            let takes_next = value.is_none() && (takes_any_value || !(is_help || flag == Some(Takes::Bool)));
            (is_help || flag.is_some()).then_some(takes_next)
        }
        _ => None,
    };
    let (mut flags, mut others) = (Vec::new(), Vec::new());
    let mut expects_value = false;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if expects_value && known(&word).is_none() {
            expects_value = false;
            flags.push(word);
        } else if word == "--" {
            others.insert(0, word);
            others.extend(words);
            break;
        } else if let Some(takes_next) = known(&word) {
            expects_value = takes_next;
            flags.push(word);
        } else {
            others.push(word);
        }
    }
    if let Some(flag) = flags.last().filter(|_| expects_value && !takes_any_value) {
        // sops takes the first word of all as the value then: the input becomes the output.
        return Err(UsageError::NoValue(flag.to_string_lossy().trim_start_matches('-').to_owned()));
    }
    flags.extend(others);
    read_strictly(grammar, flags, env)
}

/// The name and the value in a word that is a flag; `None` for other words and for `--`.
fn split_flag(word: &OsStr) -> Result<Option<(String, Option<OsString>)>, UsageError> {
    let bytes = word.as_encoded_bytes();
    if bytes.len() < 2 || bytes[0] != b'-' || bytes == b"--" {
        return Ok(None);
    }
    let name_start = if bytes[1] == b'-' { 2 } else { 1 };
    let name_end = bytes[name_start..].iter().position(|&byte| byte == b'=').map(|at| name_start + at);
    let name = String::from_utf8_lossy(&bytes[name_start..name_end.unwrap_or(bytes.len())]).into_owned();
    if name.is_empty() || name.starts_with('-') {
        return Err(UsageError::Syntax(word.to_string_lossy().into_owned()));
    }
    Ok(Some((name, name_end.map(|end| part_of(word, end + 1)))))
}

#[cfg(unix)]
fn part_of(word: &OsStr, start: usize) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    OsStr::from_bytes(&word.as_bytes()[start..]).to_owned()
}

#[cfg(not(unix))]
fn part_of(word: &OsStr, start: usize) -> OsString {
    // What stands before is ASCII, so the offset holds for the text too.
    word.to_string_lossy()[start..].into()
}

/// What the words say about one flag.
#[derive(Debug, Default)]
struct Values {
    name: Option<String>,
    values: Vec<OsString>,
}

impl Values {
    fn add(&mut self, name: String, value: OsString) -> Result<(), UsageError> {
        match &self.name {
            Some(first) if *first != name => return Err(UsageError::TwoForms(first.clone(), name)),
            _ => self.name = Some(name),
        }
        self.values.push(value);
        Ok(())
    }

    /// What clap is to be told: one element for each time the flag is written, with its value if it has one.
    fn settled(self, flag: &Flag<'_>, env: &Env) -> Result<Vec<Option<OsString>>, UsageError> {
        let variable = flag.variable.and_then(|name| env.var(name).map(|value| (name, value)));
        let from = match (&self.name, variable) {
            (None, Some((name, _))) => name.to_owned(),
            _ => format!("-{}", flag.long),
        };
        let from_words = self.name.is_some();
        let last = self.values.last().cloned().or_else(|| variable.map(|(_, value)| value.to_owned()));
        let shown = |value: &OsString| value.to_string_lossy().into_owned();
        Ok(match flag.takes {
            Takes::List if from_words => self.values.into_iter().map(Some).collect(),
            Takes::List => last
                .as_ref()
                .map(shown)
                .iter()
                .flat_map(|list| list.split(','))
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Some(item.into()))
                .collect(),
            // sops: an empty text is the same as none, also when it hides a variable.
            Takes::Text => last.filter(|value| !value.is_empty()).map(Some).into_iter().collect(),
            Takes::Number => match last {
                None => Vec::new(),
                Some(value) if value.is_empty() && !from_words => Vec::new(),
                Some(value) => {
                    let number = whole_number(&shown(&value));
                    let number =
                        number.ok_or_else(|| UsageError::NotANumber { from, value: shown(&value) })?;
                    vec![Some(number.to_string().into())]
                }
            },
            Takes::Bool => {
                let Some(value) = last else { return Ok(Vec::new()) };
                let is_true = match value.to_str() {
                    Some("") if !from_words => false,
                    text => text
                        .and_then(boolean)
                        .ok_or_else(|| UsageError::NotABoolean { from, value: shown(&value) })?,
                };
                match (flag.long, is_true) {
                    // The one boolean that is true unless told otherwise.
                    (TRUE_BY_DEFAULT, is_true) => vec![Some(is_true.to_string().into())],
                    (_, true) => vec![None],
                    (_, false) => Vec::new(),
                }
            }
        })
    }
}

/// The flag that is on when nothing is said.
const TRUE_BY_DEFAULT: &str = "enable-local-keyservice";

/// A boolean as Go's flags take it.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number as Go's flags take it: decimal, or in hexadecimal, octal or binary with its prefix.
fn whole_number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = [("0x", 16), ("0o", 8), ("0b", 2)]
        .iter()
        .find_map(|(prefix, radix)| lower.strip_prefix(prefix).map(|digits| (*radix, digits)))
        .or_else(|| lower.strip_prefix('0').filter(|rest| !rest.is_empty()).map(|rest| (8, rest)))
        .unwrap_or((10, &lower));
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().map(|number| sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn flag(
        long: &'static str,
        short: Option<char>,
        takes: Takes,
        variable: Option<&'static str>,
    ) -> Flag<'static> {
        Flag { long, alias: None, short, takes, variable }
    }

    fn grammar() -> Grammar<'static> {
        Grammar {
            flags: vec![
                flag("in-place", Some('i'), Takes::Bool, Some("IN_PLACE")),
                flag("output", None, Takes::Text, Some("OUTPUT")),
                flag("indent", None, Takes::Number, Some("INDENT")),
                flag("keyservice", None, Takes::List, Some("KEYSERVICE")),
                flag(TRUE_BY_DEFAULT, None, Takes::Bool, Some("LOCAL")),
                flag("age", Some('a'), Takes::Text, None),
            ],
        }
    }

    fn env(variables: &[(&str, &str)]) -> Env {
        Env::from_iter(variables.iter().copied())
    }

    fn shown(read: Result<Read, UsageError>) -> String {
        match read {
            Ok(read) => {
                let join = |words: Vec<OsString>| words.join(OsStr::new(" ")).into_string().unwrap();
                let help = if read.wants_help { "help " } else { "" };
                format!("{help}{} | {}", join(read.flags), join(read.words))
            }
            Err(error) => format!("error: {error}"),
        }
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn strictly(line: &str, variables: &[(&str, &str)]) -> String {
        shown(read_strictly(&grammar(), words(line), &env(variables)))
    }

    fn anywhere(line: &str) -> String {
        shown(read_anywhere(&grammar(), words(line), &env(&[]), false))
    }

    fn as_sops(line: &str) -> String {
        shown(read_anywhere(&grammar(), words(line), &env(&[]), true))
    }

    #[test]
    fn flags_are_read_as_go_reads_them_up_to_the_first_word() {
        for (line, expected) in [
            ("", " | "),
            ("-i f", "--in-place | f"),
            ("--i f", "--in-place | f"),
            ("-in-place f", "--in-place | f"),
            ("--in-place=true f", "--in-place | f"),
            ("--in-place=T f", "--in-place | f"),
            ("--in-place=0 f", " | f"),
            ("--in-place false f", "--in-place | false f"),
            ("-i -i=false f", " | f"),
            ("--output a f", "--output=a | f"),
            ("-output=a=b f", "--output=a=b | f"),
            ("--output --in-place f", "--output=--in-place | f"),
            ("--output -- f", "--output=-- | f"),
            ("--output a --output b", "--output=b | "),
            ("--output= f", " | f"),
            ("-a k f", "--age=k | f"),
            ("--indent 0x10 f", "--indent=16 | f"),
            ("--indent -2 f", "--indent=-2 | f"),
            ("--indent 010 f", "--indent=8 | f"),
            ("--keyservice a,b --keyservice c", "--keyservice=a,b --keyservice=c | "),
            ("--enable-local-keyservice=false", "--enable-local-keyservice=false | "),
            ("--enable-local-keyservice f", "--enable-local-keyservice=true | f"),
            ("f -i", " | f -i"),
            ("- -i", " | - -i"),
            ("-i -- -i f", "--in-place | -i f"),
            ("-h", "help  | "),
            ("--help f", "help  | f"),
        ] {
            assert_eq!(strictly(line, &[]), expected, "{line}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for (line, expected) in [
            ("-x f", "error: flag provided but not defined: -x"),
            ("-di f", "error: flag provided but not defined: -di"),
            ("-aKEY f", "error: flag provided but not defined: -aKEY"),
            ("--output", "error: flag needs an argument: -output"),
            ("---x", "error: bad flag syntax: ---x"),
            ("-=x", "error: bad flag syntax: -=x"),
            ("--in-place=yes", "error: invalid boolean value \"yes\" for -in-place"),
            ("--in-place=", "error: invalid boolean value \"\" for -in-place"),
            ("--indent two", "error: invalid value \"two\" for -indent: it is not a whole number"),
            ("-i --in-place", "error: Cannot use two forms of the same flag: i in-place"),
        ] {
            assert_eq!(strictly(line, &[]), expected, "{line}");
        }
    }

    #[test]
    fn a_variable_stands_in_for_a_flag_that_is_not_given() {
        for (line, variables, expected) in [
            (
                "f",
                &[("OUTPUT", "a"), ("IN_PLACE", "1"), ("INDENT", "2")][..],
                "--in-place --output=a --indent=2 | f",
            ),
            ("f", &[("OUTPUT", ""), ("IN_PLACE", ""), ("INDENT", "")], " | f"),
            ("--output b f", &[("OUTPUT", "a")], "--output=b | f"),
            ("--output= f", &[("OUTPUT", "a")], " | f"),
            ("--in-place=false f", &[("IN_PLACE", "true")], " | f"),
            ("f", &[("IN_PLACE", "yes")], "error: invalid boolean value \"yes\" for IN_PLACE"),
            ("f", &[("INDENT", "x")], "error: invalid value \"x\" for INDENT: it is not a whole number"),
            ("f", &[("KEYSERVICE", "a, b,")], "--keyservice=a --keyservice=b | f"),
            ("--keyservice c f", &[("KEYSERVICE", "a,b")], "--keyservice=c | f"),
            ("f", &[("LOCAL", "")], "--enable-local-keyservice=false | f"),
        ] {
            assert_eq!(strictly(line, variables), expected, "{line} {variables:?}");
        }
    }

    #[test]
    fn flags_of_a_command_may_stand_behind_its_words() {
        for (line, expected) in [
            ("f -i", "--in-place | f"),
            ("f --output o", "--output=o | f"),
            ("f --output=o g", "--output=o | f g"),
            ("f -5", " | f -5"),
            ("f --unknown", " | f --unknown"),
            ("--unknown f", "error: flag provided but not defined: -unknown"),
            ("f -- -i", " | f -i"),
            ("f -i g", "--in-place | f g"),
            ("f a --output", "error: flag needs an argument: -output"),
            ("f -h", "help  | f"),
        ] {
            assert_eq!(anywhere(line), expected, "{line}");
        }
    }

    #[test]
    fn behind_the_name_of_sops_a_boolean_takes_the_next_word_along() {
        assert_eq!(as_sops("f --in-place a b"), "--in-place | a f b");
        assert_eq!(as_sops("--in-place f a b"), "--in-place | f a b");
        assert_eq!(as_sops("f a --output"), "--output=f | a");
    }

    #[cfg(unix)]
    #[test]
    fn words_of_any_bytes_pass() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(b"\xff.yaml".to_vec());
        let mut flag = OsString::from("--output=");
        flag.push(&odd);
        let read = read_anywhere(&grammar(), vec![odd.clone(), flag.clone()], &env(&[]), false).unwrap();
        assert_eq!((read.flags, read.words), (vec![flag], vec![odd]));
    }
}
