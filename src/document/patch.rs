//! Changes to a text as replacements of byte ranges.

use crate::secret::SecretText;
use crate::span::Span;

/// Replacements that are applied together.
#[derive(Default)]
pub struct Patch {
    splices: Vec<Splice>,
}

struct Splice {
    span: Span,
    text: SecretText,
}

impl Patch {
    /// A patch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `text` in place of `span`.
    ///
    /// Replacements may be added in any order but must not overlap; two at the same empty place are applied in
    /// the order in which they were added.
    pub fn replace(&mut self, span: Span, text: impl Into<SecretText>) {
        self.splices.push(Splice { span, text: text.into() });
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// The text with every replacement made; sized first, allocated once.
    pub fn apply(mut self, source: &[u8]) -> SecretText {
        self.splices.sort_by_key(|splice| (splice.span.start, splice.span.end));
        let removed: usize = self.splices.iter().map(|splice| splice.span.len()).sum();
        let added: usize = self.splices.iter().map(|splice| splice.text.len()).sum();
        let mut result = SecretText::with_capacity(source.len() + added - removed);
        let mut done = 0;
        for splice in &self.splices {
            assert!(splice.span.start >= done, "replacements never overlap");
            result.push(&source[done..splice.span.start]);
            result.push(splice.text.expose());
            done = splice.span.end;
        }
        result.push(&source[done..]);
        result
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        SecretText::new(text.into_bytes())
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        SecretText::copy_of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_patch_changes_nothing() {
        assert_eq!(Patch::new().apply(b"a: 1\n").expose(), b"a: 1\n");
    }

    #[test]
    fn replacements_are_made_in_place_whatever_their_order() {
        let mut patch = Patch::new();
        patch.replace(Span::new(3, 4), "two");
        patch.replace(Span::at(0), "# c\n");
        patch.replace(Span::at(5), "b: 3\n");
        assert_eq!(patch.apply(b"a: 1\n").expose(), b"# c\na: two\nb: 3\n");
    }

    #[test]
    #[should_panic(expected = "never overlap")]
    fn overlapping_replacements_are_a_defect() {
        let mut patch = Patch::new();
        patch.replace(Span::new(0, 3), "x");
        patch.replace(Span::new(2, 4), "y");
        patch.apply(b"a: 1\n");
    }
}
