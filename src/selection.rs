//! Which values and comments of a document are sealed.
//!
//! A document has one rule. Rules on keys look at every key from the root to the value, so a key decides
//! for all that is below it; rules on comments look at the comments before the value and before
//! everything the value is in.

use crate::go_regex::{GoRegex, GoRegexError};
use crate::key_path::KeyPath;

/// The suffix of the rule that holds when none was chosen.
pub const DEFAULT_UNENCRYPTED_SUFFIX: &str = "_unencrypted";

/// The rule a document's values are chosen by, as the metadata and `.sops.yaml` write it.
///
/// An empty suffix or expression is no rule, as in sops: everything is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectionRule {
    /// Seals all but what is under a key with this suffix.
    UnencryptedSuffix(String),
    /// Seals what is under a key with this suffix.
    EncryptedSuffix(String),
    /// Seals all but what is under a key that matches.
    UnencryptedRegex(String),
    /// Seals what is under a key that matches.
    EncryptedRegex(String),
    /// Seals all but what a matching comment stands before.
    UnencryptedCommentRegex(String),
    /// Seals what a matching comment stands before; the comment itself stays readable.
    EncryptedCommentRegex(String),
    /// Seals everything.
    All,
}

/// The six options of which at most one chooses a [`SelectionRule`]. An empty text counts as not given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SelectionOptions {
    /// `unencrypted_suffix`.
    pub unencrypted_suffix: Option<String>,
    /// `encrypted_suffix`.
    pub encrypted_suffix: Option<String>,
    /// `unencrypted_regex`.
    pub unencrypted_regex: Option<String>,
    /// `encrypted_regex`.
    pub encrypted_regex: Option<String>,
    /// `unencrypted_comment_regex`.
    pub unencrypted_comment_regex: Option<String>,
    /// `encrypted_comment_regex`.
    pub encrypted_comment_regex: Option<String>,
}

/// Why values cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// A rule's expression does not compile. Sops would seal nothing, silently.
    #[error("{option} {pattern:?} is not a valid regular expression: {source}")]
    InvalidRegex {
        /// The option, as in `.sops.yaml`.
        option: &'static str,
        /// Its text.
        pattern: String,
        /// What is wrong with it.
        source: GoRegexError,
    },
    /// More than one rule was chosen.
    #[error(
        "cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, \
         unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex (found {})",
        given.join(" and ")
    )]
    MoreThanOne {
        /// The options that were given.
        given: Vec<&'static str>,
    },
}

impl Default for SelectionRule {
    /// Seals all but what is under a key that ends in `_unencrypted`.
    fn default() -> Self {
        Self::UnencryptedSuffix(DEFAULT_UNENCRYPTED_SUFFIX.to_owned())
    }
}

impl SelectionRule {
    /// The rule the options choose, or `None` when none of them is given.
    pub fn from_options(options: SelectionOptions) -> Result<Option<Self>, SelectionError> {
        let mut rules: Vec<Self> = [
            options.encrypted_suffix.map(Self::EncryptedSuffix),
            options.unencrypted_suffix.map(Self::UnencryptedSuffix),
            options.encrypted_regex.map(Self::EncryptedRegex),
            options.unencrypted_regex.map(Self::UnencryptedRegex),
            options.encrypted_comment_regex.map(Self::EncryptedCommentRegex),
            options.unencrypted_comment_regex.map(Self::UnencryptedCommentRegex),
        ]
        .into_iter()
        .flatten()
        .filter(|rule| rule.option().is_some())
        .collect();
        if rules.len() > 1 {
            let given = rules.iter().filter_map(Self::option).map(|(name, _)| name).collect();
            return Err(SelectionError::MoreThanOne { given });
        }
        Ok(rules.pop())
    }

    /// The option that chooses this rule and its text, as the metadata stores it; `None` for [`All`](Self::All).
    pub fn option(&self) -> Option<(&'static str, &str)> {
        let (name, text) = match self {
            Self::UnencryptedSuffix(suffix) => ("unencrypted_suffix", suffix),
            Self::EncryptedSuffix(suffix) => ("encrypted_suffix", suffix),
            Self::UnencryptedRegex(pattern) => ("unencrypted_regex", pattern),
            Self::EncryptedRegex(pattern) => ("encrypted_regex", pattern),
            Self::UnencryptedCommentRegex(pattern) => ("unencrypted_comment_regex", pattern),
            Self::EncryptedCommentRegex(pattern) => ("encrypted_comment_regex", pattern),
            Self::All => return None,
        };
        (!text.is_empty()).then_some((name, text))
    }
}

/// A compiled [`SelectionRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    test: Test,
    /// What is decided for a place where the test finds something.
    seals_matches: bool,
}

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    KeySuffix(String),
    KeyRegex(GoRegex),
    CommentRegex(GoRegex),
    Nothing,
}

/// What the keys down to a place have decided, so that its values need not ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    matched: bool,
}

impl Selection {
    /// Compiles the rule. An invalid expression is an error that names the option.
    pub fn compile(rule: &SelectionRule) -> Result<Self, SelectionError> {
        let Some((option, text)) = rule.option() else {
            return Ok(Self { test: Test::Nothing, seals_matches: false });
        };
        let regex = || {
            GoRegex::new(text).map_err(|source| SelectionError::InvalidRegex {
                option,
                pattern: text.to_owned(),
                source,
            })
        };
        let (test, seals_matches) = match rule {
            SelectionRule::UnencryptedSuffix(suffix) => (Test::KeySuffix(suffix.clone()), false),
            SelectionRule::EncryptedSuffix(suffix) => (Test::KeySuffix(suffix.clone()), true),
            SelectionRule::UnencryptedRegex(_) => (Test::KeyRegex(regex()?), false),
            SelectionRule::EncryptedRegex(_) => (Test::KeyRegex(regex()?), true),
            SelectionRule::UnencryptedCommentRegex(_) => (Test::CommentRegex(regex()?), false),
            SelectionRule::EncryptedCommentRegex(_) => (Test::CommentRegex(regex()?), true),
            SelectionRule::All => (Test::Nothing, false),
        };
        Ok(Self { test, seals_matches })
    }

    /// Whether the value at `path` is sealed.
    pub fn selects_value(&self, path: &KeyPath, comments: &CommentStack<'_>) -> bool {
        self.selects_value_in(self.scope(path), comments)
    }

    /// Whether a comment is sealed. Its path is that of the map it stands in, and it must be the last
    /// comment that was given to `comments`.
    pub fn selects_comment(&self, path: &KeyPath, comments: &CommentStack<'_>) -> bool {
        self.selects_comment_in(self.scope(path), comments)
    }

    /// The scope of the whole document. Going down with [`within`](Self::within) is the quick way to ask
    /// for many values: every key is looked at once, not once for each value below it.
    pub fn root(&self) -> Scope {
        Scope { matched: false }
    }

    /// The scope of what is under `key` in `scope`.
    pub fn within(&self, scope: Scope, key: &str) -> Scope {
        Scope { matched: scope.matched || self.matches_key(key) }
    }

    /// The scope of what is at `path`.
    pub fn scope(&self, path: &KeyPath) -> Scope {
        path.components().fold(self.root(), |scope, key| self.within(scope, key))
    }

    /// As [`selects_value`](Self::selects_value), with the keys already looked at.
    pub fn selects_value_in(&self, scope: Scope, comments: &CommentStack<'_>) -> bool {
        match self.test {
            Test::CommentRegex(_) => comments.any_matches() == self.seals_matches,
            _ => scope.matched == self.seals_matches,
        }
    }

    /// As [`selects_comment`](Self::selects_comment), with the keys already looked at.
    pub fn selects_comment_in(&self, scope: Scope, comments: &CommentStack<'_>) -> bool {
        match self.test {
            // sops: the comment that switches sealing on stays readable, unless an earlier one did.
            Test::CommentRegex(_) if self.seals_matches => comments.any_matches_before_last(),
            _ => self.selects_value_in(scope, comments),
        }
    }

    /// Whether a sealed comment would be taken for one that switches sealing off when the file is read
    /// again, so that neither it nor what follows it would be opened. Such a document must not be written.
    pub fn misreads_sealed_comment(&self, sealed: &str) -> bool {
        match &self.test {
            Test::CommentRegex(regex) => !self.seals_matches && regex.is_match(sealed),
            _ => false,
        }
    }

    fn matches_key(&self, key: &str) -> bool {
        match &self.test {
            Test::KeySuffix(suffix) => key.ends_with(suffix.as_str()),
            Test::KeyRegex(regex) => regex.is_match(key),
            Test::CommentRegex(_) | Test::Nothing => false,
        }
    }
}

/// The comments that decide for the place a walk has reached: on each level of nesting, those since the
/// last item.
///
/// Only whether a comment matches is kept, never its text. A rule that does not look at comments costs
/// nothing here.
#[derive(Debug, Clone)]
pub struct CommentStack<'s> {
    regex: Option<&'s GoRegex>,
    levels: Vec<Level>,
    matching: usize,
}

/// The comments of one map or list since its last item.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    matching: usize,
    last_matches: bool,
}

impl<'s> CommentStack<'s> {
    /// A stack for a walk that asks `selection`, before the document's top level is entered.
    pub fn new(selection: &'s Selection) -> Self {
        let regex = match &selection.test {
            Test::CommentRegex(regex) => Some(regex),
            _ => None,
        };
        Self { regex, levels: Vec::new(), matching: 0 }
    }

    /// A stack that keeps nothing, for a rule on keys.
    pub fn disabled() -> CommentStack<'static> {
        CommentStack { regex: None, levels: Vec::new(), matching: 0 }
    }

    /// Enters a map or list, the top level included.
    pub fn enter(&mut self) {
        if self.regex.is_some() {
            self.levels.push(Level::default());
        }
    }

    /// Leaves a map or list.
    pub fn leave(&mut self) {
        self.item_done();
        self.levels.pop();
    }

    /// Meets a comment, without its `#`; before asking whether the comment is sealed.
    pub fn comment(&mut self, text: &str) {
        let Some(regex) = self.regex else { return };
        let matches = regex.is_match(text);
        let level = self.levels.last_mut().expect("a comment stands in a map or list that was entered");
        level.matching += usize::from(matches);
        level.last_matches = matches;
        self.matching += usize::from(matches);
    }

    /// Is done with an item that is not a comment: what stood before it does not count for the next.
    pub fn item_done(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            self.matching -= level.matching;
            *level = Level::default();
        }
    }

    fn any_matches(&self) -> bool {
        self.matching > 0
    }

    fn any_matches_before_last(&self) -> bool {
        let last_matches = self.levels.last().is_some_and(|level| level.last_matches);
        self.matching > usize::from(last_matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(rule: SelectionRule) -> Selection {
        Selection::compile(&rule).unwrap()
    }

    fn path(keys: &[&str]) -> KeyPath {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[track_caller]
    fn check_keys(rule: SelectionRule, sealed: &[&[&str]], clear: &[&[&str]]) {
        let selection = compile(rule);
        for (keys, expected) in sealed.iter().map(|k| (k, true)).chain(clear.iter().map(|k| (k, false))) {
            let (path, comments) = (path(keys), CommentStack::disabled());
            assert_eq!(selection.selects_value(&path, &comments), expected, "value at {keys:?}");
            assert_eq!(selection.selects_comment(&path, &comments), expected, "comment in {keys:?}");
        }
    }

    #[test]
    fn the_default_rule_leaves_what_is_under_an_unencrypted_key() {
        check_keys(
            SelectionRule::default(),
            &[&[], &["a"], &["a", "_Unencrypted"], &["a_unencrypted_", "b"]],
            &[&["a_unencrypted"], &["_unencrypted"], &["a", "b_unencrypted", "c"]],
        );
    }

    #[test]
    fn an_encrypted_suffix_seals_nothing_else() {
        check_keys(
            SelectionRule::EncryptedSuffix("_enc".into()),
            &[&["a_enc"], &["a_enc", "b"], &["a", "b_enc", "c"]],
            &[&[], &["a"], &["a_ENC"], &["_enc_"]],
        );
    }

    #[test]
    fn regexes_are_searched_in_every_key() {
        check_keys(
            SelectionRule::EncryptedRegex("^(data|stringData)$".into()),
            &[&["data"], &["data", "x"], &["a", "stringData", "b", "c"]],
            &[&[], &["metadata"], &["a", "Data"]],
        );
        check_keys(
            SelectionRule::UnencryptedRegex("meta".into()),
            &[&[], &["a"], &["a", "Meta"]],
            &[&["metadata"], &["a", "xmetax", "c"]],
        );
    }

    #[test]
    fn without_a_rule_everything_is_sealed() {
        for rule in [
            SelectionRule::All,
            SelectionRule::UnencryptedSuffix(String::new()),
            SelectionRule::EncryptedRegex(String::new()),
            SelectionRule::EncryptedCommentRegex(String::new()),
        ] {
            check_keys(rule, &[&[], &["a"], &["a_unencrypted"]], &[]);
        }
    }

    #[test]
    fn an_invalid_regex_is_an_error_that_names_its_option() {
        let error = Selection::compile(&SelectionRule::EncryptedRegex("a(?=b)".into())).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("encrypted_regex \"a(?=b)\" is not a valid regular expression"),
            "{message}"
        );
        for rule in [
            SelectionRule::UnencryptedRegex("(".into()),
            SelectionRule::EncryptedCommentRegex("(".into()),
            SelectionRule::UnencryptedCommentRegex("(".into()),
        ] {
            let option = rule.option().unwrap().0;
            assert!(Selection::compile(&rule).unwrap_err().to_string().starts_with(option));
        }
        assert!(Selection::compile(&SelectionRule::EncryptedSuffix("(".into())).is_ok());
    }

    /// What a walk meets, and whether it is sealed.
    enum Step<'t> {
        Enter,
        Leave,
        Comment(&'t str, bool),
        Value(bool),
    }
    use Step::{Comment, Enter, Leave, Value};

    #[track_caller]
    fn check_walk(rule: SelectionRule, steps: &[Step<'_>]) {
        let selection = compile(rule);
        let mut comments = CommentStack::new(&selection);
        for (at, step) in steps.iter().enumerate() {
            match step {
                Enter => comments.enter(),
                Leave => {
                    comments.leave();
                    comments.item_done();
                }
                Comment(text, sealed) => {
                    comments.comment(text);
                    assert_eq!(selection.selects_comment(&KeyPath::root(), &comments), *sealed, "step {at}");
                }
                Value(sealed) => {
                    assert_eq!(selection.selects_value(&path(&["k"]), &comments), *sealed, "step {at}");
                    comments.item_done();
                }
            }
        }
        assert_eq!(comments.levels.len(), 0, "the walk leaves what it entered");
        assert_eq!(comments.matching, 0, "nothing is left over");
    }

    #[test]
    fn an_encrypting_comment_seals_what_follows_it_but_not_itself() {
        check_walk(
            SelectionRule::EncryptedCommentRegex("sops:enc".into()),
            &[
                Enter,
                Comment(" other", false),
                Value(false),
                Comment(" sops:enc", false),
                Comment(" a note", true),
                Comment(" sops:enc again", true),
                Value(true),
                Value(false),
                Comment("before the end sops:enc", false),
                Leave,
            ],
        );
    }

    #[test]
    fn an_encrypting_comment_before_a_map_seals_all_of_it() {
        check_walk(
            SelectionRule::EncryptedCommentRegex("sops:enc".into()),
            &[
                Enter,
                Comment("sops:enc", false),
                Enter,
                Comment("inner", true),
                Value(true),
                Comment("sops:enc", true),
                Enter,
                Value(true),
                Leave,
                Value(true),
                Leave,
                Value(false),
                Leave,
            ],
        );
    }

    #[test]
    fn an_unencrypting_comment_stays_readable_with_what_follows_it() {
        check_walk(
            SelectionRule::UnencryptedCommentRegex("public".into()),
            &[
                Enter,
                Comment("secret", true),
                Comment("public", false),
                Comment("note", false),
                Value(false),
                Value(true),
                Comment("public", false),
                Enter,
                Comment("note", false),
                Value(false),
                Value(false),
                Leave,
                Value(true),
                Leave,
            ],
        );
    }

    #[test]
    fn a_sealed_comment_that_matches_the_unencrypting_regex_is_noticed() {
        let sealed = "ENC[AES256_GCM,data:abc=,iv:x,tag:y,type:comment]";
        let rule = |pattern: &str| compile(SelectionRule::UnencryptedCommentRegex(pattern.into()));
        assert!(rule("comment").misreads_sealed_comment(sealed));
        assert!(!rule("^ *public").misreads_sealed_comment(sealed));
        let other = compile(SelectionRule::EncryptedCommentRegex("comment".into()));
        assert!(!other.misreads_sealed_comment(sealed));
    }

    #[test]
    fn a_rule_on_keys_ignores_comments() {
        let selection = compile(SelectionRule::EncryptedRegex("a".into()));
        let mut comments = CommentStack::new(&selection);
        comments.enter();
        comments.comment("a");
        assert!(!selection.selects_value(&path(&["b"]), &comments));
        assert_eq!(comments.levels.capacity(), 0, "nothing is stored");
    }

    #[test]
    fn a_scope_decides_as_its_path_does() {
        for rule in [
            SelectionRule::EncryptedRegex("^b$".into()),
            SelectionRule::UnencryptedSuffix("b".into()),
            SelectionRule::All,
        ] {
            let (selection, comments) = (compile(rule), CommentStack::disabled());
            for keys in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["xb"]] {
                let scope = keys.iter().fold(selection.root(), |scope, key| selection.within(scope, key));
                assert_eq!(
                    selection.selects_value_in(scope, &comments),
                    selection.selects_value(&path(keys), &comments)
                );
            }
        }
    }

    #[test]
    fn one_option_chooses_the_rule() {
        assert_eq!(SelectionRule::from_options(SelectionOptions::default()), Ok(None));
        let options = SelectionOptions {
            encrypted_regex: Some("x".into()),
            unencrypted_suffix: Some(String::new()),
            ..SelectionOptions::default()
        };
        let rule = SelectionRule::from_options(options).unwrap().unwrap();
        assert_eq!(rule, SelectionRule::EncryptedRegex("x".into()));
        assert_eq!(rule.option(), Some(("encrypted_regex", "x")));
    }

    #[test]
    fn every_option_chooses_its_own_rule() {
        let set = |fill: fn(&mut SelectionOptions) -> &mut Option<String>| {
            let mut options = SelectionOptions::default();
            *fill(&mut options) = Some("x".into());
            SelectionRule::from_options(options).unwrap().unwrap().option().unwrap().0
        };
        assert_eq!(set(|o| &mut o.unencrypted_suffix), "unencrypted_suffix");
        assert_eq!(set(|o| &mut o.encrypted_suffix), "encrypted_suffix");
        assert_eq!(set(|o| &mut o.unencrypted_regex), "unencrypted_regex");
        assert_eq!(set(|o| &mut o.encrypted_regex), "encrypted_regex");
        assert_eq!(set(|o| &mut o.unencrypted_comment_regex), "unencrypted_comment_regex");
        assert_eq!(set(|o| &mut o.encrypted_comment_regex), "encrypted_comment_regex");
    }

    #[test]
    fn two_options_are_refused() {
        let options = SelectionOptions {
            encrypted_regex: Some("x".into()),
            unencrypted_suffix: Some("y".into()),
            ..SelectionOptions::default()
        };
        let message = SelectionRule::from_options(options).unwrap_err().to_string();
        assert_eq!(
            message,
            "cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, \
             unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex \
             (found unencrypted_suffix and encrypted_regex)"
        );
    }
}
