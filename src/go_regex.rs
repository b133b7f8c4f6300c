//! Regular expressions in Go's dialect, which every selection rule and `path_regex` is written in.
//!
//! Go and the `regex` crate share their engine's ideas, not their syntax: `\w` is ASCII in one and Unicode
//! in the other, `[a[b]` is a class here and an error there. A pattern that means something else than in
//! sops would leave a secret in clear text, so a pattern is read by Go's rules and written out again in
//! the part of the crate's syntax that has one meaning only. Only *whether* a text matches is kept: groups
//! lose their numbers and names, repetitions their greed.

use std::fmt;
use std::fmt::Write as _;

/// A compiled regular expression with the meaning Go's `regexp` package gives it.
#[derive(Clone)]
pub struct GoRegex {
    pattern: String,
    regex: regex::Regex,
}

impl GoRegex {
    /// Compiles `pattern`, which is refused wherever Go refuses it.
    ///
    /// The compiled size is limited, so that a pattern of a few bytes cannot ask for gigabytes.
    pub fn new(pattern: &str) -> Result<Self, GoRegexError> {
        let translated = Translator::new(pattern).run()?;
        let regex = regex::RegexBuilder::new(&translated)
            .size_limit(SIZE_LIMIT)
            .nest_limit(NEST_LIMIT)
            .build()
            .map_err(|_| GoRegexError::TooLarge)?;
        Ok(Self { pattern: pattern.to_owned(), regex })
    }

    /// Whether the expression is found anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        // `Regex::is_match` stops at the first end of a match it sees. With `\B`, that can be an empty one
        // between two bytes of a character; it is dropped, and a real match around it with it.
        self.regex.find(text).is_some()
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl PartialEq for GoRegex {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for GoRegex {}

impl fmt::Debug for GoRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GoRegex({:?})", self.pattern)
    }
}

/// Why a pattern is not a regular expression in Go's dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GoRegexError {
    /// A `)` without its `(`.
    #[error("unexpected ) at byte {at}")]
    UnexpectedParenthesis {
        /// Offset of the parenthesis.
        at: usize,
    },
    /// A `(` without its `)`.
    #[error("missing closing )")]
    MissingParenthesis,
    /// A `[` without its `]`.
    #[error("missing closing ] of the class at byte {at}")]
    MissingBracket {
        /// Offset of the `[`.
        at: usize,
    },
    /// A range that runs backwards, or a class that Go does not know.
    #[error("invalid character class or range {text:?}")]
    InvalidRange {
        /// The class or range.
        text: String,
    },
    /// A `\` with something behind it that is no escape. Back-references are not supported.
    #[error("invalid escape sequence {text:?}")]
    InvalidEscape {
        /// The escape.
        text: String,
    },
    /// A `\` at the end.
    #[error("trailing backslash")]
    TrailingBackslash,
    /// A `(?…` that is neither a group nor one of the flags `imsU`. Look-around is not supported.
    #[error("invalid or unsupported group {text:?}")]
    InvalidGroup {
        /// What the group starts with.
        text: String,
    },
    /// A group name with other characters than letters, digits and `_`.
    #[error("invalid group name in {text:?}")]
    InvalidGroupName {
        /// The start of the group.
        text: String,
    },
    /// A `*`, `+`, `?` or `{n}` with nothing before it.
    #[error("nothing to repeat before {text:?}")]
    MissingRepeatArgument {
        /// The repetition.
        text: String,
    },
    /// Two repetitions in a row.
    #[error("invalid nested repetition at {text:?}")]
    NestedRepeat {
        /// The second repetition.
        text: String,
    },
    /// A count above 1000, on its own or multiplied through nested repetitions, or a range that runs backwards.
    #[error("invalid repeat count {text:?}")]
    InvalidRepeatSize {
        /// The repetition.
        text: String,
    },
    /// The expression needs too much memory.
    #[error("the expression is too large")]
    TooLarge,
}

/// 64 MB: enough for `\pL{1000}`, which the crate's own 10 MB refuse and Go accepts.
const SIZE_LIMIT: usize = 64 << 20;
/// Deeper than anyone nests by hand, and shallow enough for the stack of a thread.
const NEST_LIMIT: u32 = 500;
/// What Go allows a repeat count, and the product of nested ones, to be.
const MAX_REPEAT: u32 = 1000;
/// A class that contains nothing.
const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// Reads Go's syntax from `rest` and writes the crate's to `out`.
///
/// Every piece written is complete on its own and carries its flags with it (`(?i:a)`), so that a
/// repetition can be put behind it whatever stood between them in the pattern.
struct Translator<'p> {
    pattern: &'p str,
    rest: &'p str,
    out: String,
    flags: Flags,
    level: Level,
    outer: Vec<(Level, Flags)>,
    after_repeat: bool,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_matches_newline: bool,
}

/// What is known about the group that is being read.
#[derive(Default)]
struct Level {
    start: usize,
    last: Option<Atom>,
    /// The largest product of nested repeat counts in this group.
    repeats: u32,
}

/// The piece a following repetition applies to.
#[derive(Clone, Copy)]
struct Atom {
    start: usize,
    repeated: bool,
    repeats: u32,
}

impl<'p> Translator<'p> {
    fn new(pattern: &'p str) -> Self {
        let level = Level { repeats: 1, ..Level::default() };
        Self {
            pattern,
            rest: pattern,
            out: String::with_capacity(pattern.len() * 2),
            flags: Flags::default(),
            level,
            outer: Vec::new(),
            after_repeat: false,
        }
    }

    fn run(mut self) -> Result<String, GoRegexError> {
        while let Some(first) = self.rest.chars().next() {
            let was_repeat = std::mem::take(&mut self.after_repeat);
            match first {
                '(' if self.rest.starts_with("(?") => self.special_group()?,
                '(' => {
                    self.advance(1);
                    self.open_group(self.flags);
                }
                ')' => self.close_group()?,
                '|' => {
                    self.advance(1);
                    self.out.push('|');
                    self.level.last = None;
                }
                '^' if self.flags.multi_line => self.piece(1, "(?m:^)"),
                '^' => self.piece(1, r"\A"),
                '$' if self.flags.multi_line => self.piece(1, "(?m:$)"),
                '$' => self.piece(1, r"\z"),
                '.' if self.flags.dot_matches_newline => self.piece(1, "(?s:.)"),
                '.' => self.piece(1, "."),
                '[' => self.class()?,
                '*' => self.repeat(1, 0, None, "*", was_repeat)?,
                '+' => self.repeat(1, 0, None, "+", was_repeat)?,
                '?' => self.repeat(1, 0, None, "?", was_repeat)?,
                '{' => self.counted_repeat(was_repeat)?,
                '\\' => self.backslash()?,
                literal => {
                    self.advance(literal.len_utf8());
                    self.literal(literal);
                }
            }
        }
        match self.outer.is_empty() {
            true => Ok(self.out),
            false => Err(GoRegexError::MissingParenthesis),
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn at(&self) -> usize {
        self.pattern.len() - self.rest.len()
    }

    /// Skips `bytes` of the pattern and writes `text` for them.
    fn piece(&mut self, bytes: usize, text: &str) {
        self.advance(bytes);
        self.begin_atom();
        self.out.push_str(text);
    }

    fn begin_atom(&mut self) {
        self.level.last = Some(Atom { start: self.out.len(), repeated: false, repeats: 1 });
    }

    fn literal(&mut self, c: char) {
        self.begin_atom();
        let mut buffer = [0; 4];
        let escaped = regex::escape(c.encode_utf8(&mut buffer));
        match self.flags.fold_case {
            true => write!(self.out, "(?i:{escaped})"),
            false => write!(self.out, "{escaped}"),
        }
        .expect("writing to a String does not fail");
    }

    fn open_group(&mut self, inner_flags: Flags) {
        let level = Level { start: self.out.len(), last: None, repeats: 1 };
        self.outer.push((std::mem::replace(&mut self.level, level), self.flags));
        self.flags = inner_flags;
        self.out.push_str("(?:");
    }

    fn close_group(&mut self) -> Result<(), GoRegexError> {
        let (outer, flags) =
            self.outer.pop().ok_or_else(|| GoRegexError::UnexpectedParenthesis { at: self.at() })?;
        self.advance(1);
        self.out.push(')');
        let inner = std::mem::replace(&mut self.level, outer);
        self.flags = flags;
        self.level.repeats = self.level.repeats.max(inner.repeats);
        self.level.last = Some(Atom { start: inner.start, repeated: false, repeats: inner.repeats });
        Ok(())
    }

    /// `(?P<name>…`, `(?<name>…`, `(?flags)` and `(?flags:…`.
    fn special_group(&mut self) -> Result<(), GoRegexError> {
        let text = self.rest;
        if let Some(name_on) = text.strip_prefix("(?P<").or_else(|| text.strip_prefix("(?<")) {
            let end = name_on.find('>').ok_or_else(|| GoRegexError::InvalidGroupName { text: head(text) })?;
            let name = &name_on[..end];
            if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
                return Err(GoRegexError::InvalidGroupName { text: head(text) });
            }
            self.rest = &name_on[end + 1..];
            self.open_group(self.flags);
            return Ok(());
        }
        let (mut flags, mut value, mut saw_flag) = (self.flags, true, false);
        for (i, c) in text.char_indices().skip(2) {
            match c {
                'i' => flags.fold_case = value,
                'm' => flags.multi_line = value,
                's' => flags.dot_matches_newline = value,
                // Greed decides where a match ends, never whether there is one.
                'U' => {}
                '-' if value => {
                    value = false;
                    saw_flag = false;
                    continue;
                }
                ':' | ')' if value || saw_flag => {
                    self.advance(i + 1);
                    match c {
                        ':' => self.open_group(flags),
                        _ => self.flags = flags,
                    }
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        Err(GoRegexError::InvalidGroup { text: head(text) })
    }

    /// Puts the repetition written as `bytes` bytes of the pattern behind the last piece.
    fn repeat(
        &mut self,
        bytes: usize,
        min: u32,
        max: Option<u32>,
        operator: &str,
        was_repeat: bool,
    ) -> Result<(), GoRegexError> {
        let text = &self.rest[..bytes];
        self.advance(bytes);
        if self.rest.starts_with('?') {
            self.advance(1);
        }
        if was_repeat {
            return Err(GoRegexError::NestedRepeat { text: text.to_owned() });
        }
        let Some(mut atom) = self.level.last else {
            return Err(GoRegexError::MissingRepeatArgument { text: text.to_owned() });
        };
        // Go counts the nested copies; `{0}` has none, whatever is inside.
        atom.repeats = match max {
            Some(0) => 1,
            _ => atom.repeats.saturating_mul(max.unwrap_or(min).max(1)),
        };
        if (min >= 2 || max >= Some(2)) && atom.repeats > MAX_REPEAT {
            return Err(GoRegexError::InvalidRepeatSize { text: text.to_owned() });
        }
        if atom.repeated {
            // `a*(?i)*` and `a*\Q\E*` are not two repetitions in a row to Go.
            self.out.insert_str(atom.start, "(?:");
            self.out.push(')');
        }
        self.out.push_str(operator);
        atom.repeated = true;
        self.level.repeats = self.level.repeats.max(atom.repeats);
        self.level.last = Some(atom);
        self.after_repeat = true;
        Ok(())
    }

    /// `{n}`, `{n,}` and `{n,m}`; any other `{` stands for itself.
    fn counted_repeat(&mut self, was_repeat: bool) -> Result<(), GoRegexError> {
        let Some((min, max, bytes)) = count(self.rest) else {
            self.advance(1);
            self.literal('{');
            return Ok(());
        };
        let text = &self.rest[..bytes];
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Err(GoRegexError::InvalidRepeatSize { text: text.to_owned() });
        }
        self.repeat(bytes, min, max, text, was_repeat)
    }

    fn backslash(&mut self) -> Result<(), GoRegexError> {
        match self.rest[1..].chars().next() {
            Some('A') => self.piece(2, r"\A"),
            Some('z') => self.piece(2, r"\z"),
            Some('b') => self.piece(2, r"(?-u:\b)"),
            Some('B') => self.piece(2, r"(?-u:\B)"),
            Some('Q') => {
                let text = &self.rest[2..];
                let (quoted, rest) = text.split_once(r"\E").unwrap_or((text, ""));
                quoted.chars().for_each(|c| self.literal(c));
                self.rest = rest;
            }
            Some('p' | 'P' | 'd' | 'D' | 's' | 'S' | 'w' | 'W') => {
                let class = self.named_class()?.expect("all of these letters name a class");
                self.begin_atom();
                self.write_class(false, &class);
            }
            _ => match self.escape()? {
                Some(c) => self.literal(c),
                None => {
                    self.begin_atom();
                    self.out.push_str(NOTHING);
                }
            },
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), GoRegexError> {
        let start = self.at();
        let missing = GoRegexError::MissingBracket { at: start };
        self.advance(1);
        let negated = self.rest.starts_with('^');
        if negated {
            self.advance(1);
        }
        let mut items = String::new();
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if let Some(class) = self.posix_class()? {
                items.push_str(&class);
                continue;
            }
            if let Some(class) = self.named_class()? {
                items.push_str(&class);
                continue;
            }
            let range = self.rest;
            let low = self.class_char(&missing)?;
            let mut high = low;
            // `[a-]` is an a or a dash.
            if self.rest.starts_with('-') && self.rest.len() > 1 && !self.rest.starts_with("-]") {
                self.advance(1);
                high = self.class_char(&missing)?;
                if high < low {
                    let text = range[..range.len() - self.rest.len()].to_owned();
                    return Err(GoRegexError::InvalidRange { text });
                }
            }
            push_range(&mut items, low, high);
        }
        self.advance(1);
        self.begin_atom();
        self.write_class(negated, &items);
        Ok(())
    }

    fn write_class(&mut self, negated: bool, items: &str) {
        let (open, close) = if self.flags.fold_case { ("(?i:", ")") } else { ("", "") };
        let caret = if negated { "^" } else { "" };
        write!(self.out, "{open}[{caret}{items}]{close}").expect("writing to a String does not fail");
    }

    /// One character of a class, as a number because Go also takes surrogates.
    fn class_char(&mut self, missing: &GoRegexError) -> Result<u32, GoRegexError> {
        match self.rest.chars().next() {
            None => Err(missing.clone()),
            Some('\\') => self.escape_code(),
            Some(c) => {
                self.advance(c.len_utf8());
                Ok(u32::from(c))
            }
        }
    }

    /// `[:alpha:]` and its like.
    fn posix_class(&mut self) -> Result<Option<String>, GoRegexError> {
        // As in Go, the `:]` is looked for to the end of the pattern, not of the class.
        let Some(end) = self.rest.strip_prefix("[:").and_then(|name_on| name_on.find(":]")) else {
            return Ok(None);
        };
        let (text, name) = (&self.rest[..end + 4], &self.rest[2..end + 2]);
        let (caret, name) = match name.strip_prefix('^') {
            Some(name) => ("^", name),
            None => ("", name),
        };
        let ranges = match name {
            "alnum" => "0-9A-Za-z",
            "alpha" => "A-Za-z",
            "ascii" => r"\x00-\x7F",
            "blank" => r"\t\x20",
            "cntrl" => r"\x00-\x1F\x7F",
            "digit" => "0-9",
            "graph" => r"\x21-\x7E",
            "lower" => "a-z",
            "print" => r"\x20-\x7E",
            "punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
            "space" => r"\t-\r\x20",
            "upper" => "A-Z",
            "word" => "0-9A-Za-z_",
            "xdigit" => "0-9A-Fa-f",
            _ => return Err(GoRegexError::InvalidRange { text: text.to_owned() }),
        };
        self.advance(text.len());
        Ok(Some(format!("[{caret}{ranges}]")))
    }

    /// `\d`, `\pL`, `\p{Greek}` and their like.
    fn named_class(&mut self) -> Result<Option<String>, GoRegexError> {
        let mut chars = self.rest.chars();
        if chars.next() != Some('\\') {
            return Ok(None);
        }
        let class = match chars.next() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            // Go's \s has no vertical tab.
            Some('s') => r"[\t\n\x0C\r\x20]",
            Some('S') => r"[^\t\n\x0C\r\x20]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some('p' | 'P') => return self.unicode_class().map(Some),
            _ => return Ok(None),
        };
        self.advance(2);
        Ok(Some(class.to_owned()))
    }

    fn unicode_class(&mut self) -> Result<String, GoRegexError> {
        let text = self.rest;
        let mut negated = text.starts_with(r"\P");
        let unknown = || GoRegexError::InvalidRange { text: head(text) };
        let (mut name, length) = match text[2..].chars().next().ok_or_else(unknown)? {
            '{' => {
                let end = text.find('}').ok_or_else(unknown)?;
                (&text[3..end], end + 1)
            }
            letter => (&text[2..2 + letter.len_utf8()], 2 + letter.len_utf8()),
        };
        if let Some(bare) = name.strip_prefix('^') {
            negated = !negated;
            name = bare;
        }
        let table = unicode_table(name).ok_or_else(unknown)?;
        self.advance(length);
        let caret = if negated { "^" } else { "" };
        Ok(format!("[{caret}{table}]"))
    }

    /// The character an escape stands for; `None` for a surrogate, which no text contains.
    fn escape(&mut self) -> Result<Option<char>, GoRegexError> {
        self.escape_code().map(char::from_u32)
    }

    fn escape_code(&mut self) -> Result<u32, GoRegexError> {
        let text = self.rest;
        let mut chars = text[1..].chars();
        let c = chars.next().ok_or(GoRegexError::TrailingBackslash)?;
        let next = chars.clone().next();
        let invalid = || GoRegexError::InvalidEscape { text: text[..1 + c.len_utf8()].to_owned() };
        let code = match c {
            // A single digit other than 0 would be a back-reference.
            '1'..='7' if !next.is_some_and(|d| d.is_digit(8)) => return Err(invalid()),
            '0'..='7' => {
                let digits = text[1..].bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
                self.advance(1 + digits);
                return Ok(u32::from_str_radix(&text[1..=digits], 8).expect("these are octal digits"));
            }
            'x' => {
                let (digits, length) = match text.strip_prefix(r"\x{") {
                    Some(digits_on) => {
                        let end = digits_on.find('}').ok_or_else(invalid)?;
                        (&digits_on[..end], end + 4)
                    }
                    None => (text.get(2..4).ok_or_else(invalid)?, 4),
                };
                // from_str_radix would also take a sign.
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(invalid());
                }
                let significant = digits.trim_start_matches('0');
                let code = match significant.is_empty() {
                    true => 0,
                    false => u32::from_str_radix(significant, 16).map_err(|_| invalid())?,
                };
                if code > u32::from(char::MAX) {
                    return Err(invalid());
                }
                self.advance(length);
                return Ok(code);
            }
            'a' => 0x07,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            'v' => 0x0B,
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
            _ => return Err(invalid()),
        };
        self.advance(1 + c.len_utf8());
        Ok(code)
    }
}

/// The start of `text`, for a message.
fn head(text: &str) -> String {
    text.chars().take(20).collect()
}

/// Adds the characters from `low` to `high`, without the surrogates among them.
fn push_range(items: &mut String, low: u32, high: u32) {
    const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;
    let low = if SURROGATES.contains(&low) { 0xE000 } else { low };
    let high = if SURROGATES.contains(&high) { 0xD7FF } else { high };
    match low <= high {
        true => write!(items, r"\x{{{low:X}}}-\x{{{high:X}}}"),
        false => write!(items, "{NOTHING}"),
    }
    .expect("writing to a String does not fail");
}

/// Reads `{n}`, `{n,}` or `{n,m}` from the start of `text`: the counts and the length.
fn count(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let inner = &text[1..text.find('}')?];
    let number = |digits: &str| {
        let written_plainly = digits == "0" || !digits.starts_with('0');
        let valid = !digits.is_empty() && written_plainly && digits.bytes().all(|b| b.is_ascii_digit());
        // Anything too large for u32 is above Go's limit as well.
        valid.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (min, max) = match inner.split_once(',') {
        None => {
            let exact = number(inner)?;
            (exact, Some(exact))
        }
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((min, max, inner.len() + 2))
}

/// The crate's spelling of a Unicode class that Go knows; the crate knows many more.
fn unicode_table(name: &str) -> Option<String> {
    let bare: String = name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect();
    if !bare.is_ascii() {
        return None;
    }
    let bare = bare.to_ascii_lowercase();
    // The crate has no class for surrogates, which its texts cannot contain.
    if matches!(bare.as_str(), "cs" | "surrogate") {
        return Some(NOTHING.to_owned());
    }
    let mut known = CATEGORIES.split_ascii_whitespace().chain(SCRIPTS.split_ascii_whitespace());
    known.any(|known| known == bare).then(|| format!(r"\p{{{bare}}}"))
}

const CATEGORIES: &str = "
    any assigned ascii c cc cf cn co l lc ll lm lo lt lu m mc me mn n nd nl no p pc pd pe pf pi po ps s sc sk
    sm so z zl zp zs casedletter closepunctuation combiningmark connectorpunctuation control currencysymbol
    dashpunctuation decimalnumber enclosingmark finalpunctuation format initialpunctuation letter letternumber
    lineseparator lowercaseletter mark mathsymbol modifierletter modifiersymbol nonspacingmark number
    openpunctuation other otherletter othernumber otherpunctuation othersymbol paragraphseparator privateuse
    punctuation separator spaceseparator spacingmark symbol titlecaseletter unassigned uppercaseletter cntrl
    digit punct";

/// Go 1.26 refuses scripts of more than one word (`Old_Italic`) in any spelling, and so does this.
const SCRIPTS: &str = "
    adlam ahom arabic armenian avestan balinese bamum batak bengali bhaiksuki bopomofo brahmi braille buginese
    buhid carian chakma cham cherokee chorasmian common coptic cuneiform cypriot cyrillic deseret devanagari
    dogra duployan elbasan elymaic ethiopic georgian glagolitic gothic grantha greek gujarati gurmukhi han
    hangul hanunoo hatran hebrew hiragana inherited javanese kaithi kannada katakana kawi kharoshthi khmer
    khojki khudawadi lao latin lepcha limbu lisu lycian lydian mahajani makasar malayalam mandaic manichaean
    marchen medefaidrin miao modi mongolian mro multani myanmar nabataean nandinagari newa nko nushu ogham
    oriya osage osmanya palmyrene phoenician rejang runic samaritan saurashtra sharada shavian siddham sinhala
    sogdian soyombo sundanese syriac tagalog tagbanwa takri tamil tangsa tangut telugu thaana thai tibetan
    tifinagh tirhuta toto ugaritic vai vithkuqi wancho yezidi yi";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unicode_class_of_the_tables_compiles() {
        for name in CATEGORIES.split_ascii_whitespace().chain(SCRIPTS.split_ascii_whitespace()) {
            GoRegex::new(&format!(r"\p{{{name}}}")).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    /// Compares with a table made by Go; the patterns that differ.
    fn differences(table: &str) -> Vec<String> {
        let text = |json: &str| serde_json::from_str::<String>(json).unwrap();
        let mut lines = table.lines().filter(|line| !line.starts_with('#'));
        let subjects: Vec<String> = lines.next().unwrap().split('\t').skip(1).map(text).collect();
        assert!(subjects.len() > 40, "the subjects were read");
        let mut differences = Vec::new();
        for line in lines {
            let (pattern, expected) = line.split_once('\t').unwrap();
            let found = match GoRegex::new(&text(pattern)) {
                Ok(regex) => subjects.iter().map(|s| if regex.is_match(s) { '1' } else { '0' }).collect(),
                Err(_) => "error".to_owned(),
            };
            if found != expected {
                differences.push(format!("{pattern}\n  Go:   {expected}\n  here: {found}"));
            }
        }
        differences
    }

    #[test]
    fn patterns_compile_and_match_as_in_go() {
        let table = include_str!("../testdata/go_regex.tsv");
        assert!(table.lines().count() > 300, "the patterns were read");
        let differences = differences(table);
        assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let message = |pattern: &str| GoRegex::new(pattern).unwrap_err().to_string();
        assert_eq!(message("a(?=b)"), r#"invalid or unsupported group "(?=b)""#);
        assert_eq!(message(r"(a)\1"), r#"invalid escape sequence "\\1""#);
        assert_eq!(message("x["), "missing closing ] of the class at byte 1");
        assert_eq!(message("a++"), r#"invalid nested repetition at "+""#);
    }
}
