//! Which leaves of a document are sealed.

/// The rule that says which leaves are sealed.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectionRule {
    /// All but those below a key with this ending.
    UnencryptedSuffix(String),
    /// Only those below a key with this ending.
    EncryptedSuffix(String),
    /// All but those below a key that matches.
    UnencryptedRegex(String),
    /// Only those below a key that matches.
    EncryptedRegex(String),
    /// All but those under a comment that matches.
    UnencryptedCommentRegex(String),
    /// Only those under a comment that matches.
    EncryptedCommentRegex(String),
    /// Every leaf: nothing is configured, as binary files have it.
    All,
}
