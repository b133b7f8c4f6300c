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

    /// Adds all replacements of `other`.
    pub fn extend(&mut self, other: Patch) {
        self.splices.extend(other.splices);
    }

    /// How many replacements there are.
    pub fn len(&self) -> usize {
        self.splices.len()
    }

    /// The replacement that was added last.
    pub fn last(&self) -> Option<(Span, &SecretText)> {
        self.splices.last().map(|splice| (splice.span, &splice.text))
    }

    /// Whether what stands at `offset` is taken out or replaced.
    pub fn removes(&self, offset: usize) -> bool {
        self.splices.iter().any(|splice| splice.span.start <= offset && offset < splice.span.end)
    }

    /// Where a place of the changed text stood before: `None` when it is inside new text.
    pub fn origins(&mut self) -> Origins {
        self.sort();
        let mut shift = 0isize;
        let pieces = self.splices.iter().map(|splice| {
            let start = splice.span.start.wrapping_add_signed(shift);
            shift += splice.text.len() as isize - splice.span.len() as isize;
            (Span::new(start, start + splice.text.len()), shift)
        });
        Origins { pieces: pieces.collect() }
    }

    fn sort(&mut self) {
        self.splices.sort_by_key(|splice| (splice.span.start, splice.span.end));
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// The text with every replacement made; sized first, allocated once.
    pub fn apply(&mut self, source: &[u8]) -> SecretText {
        self.sort();
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

/// From places in a changed text to places in the text before.
pub struct Origins {
    /// Each new piece of text, and by how much what follows it was moved.
    pieces: Vec<(Span, isize)>,
}

impl Origins {
    /// Where byte `offset` of the changed text stood before; `None` when it is new.
    pub fn of(&self, offset: usize) -> Option<usize> {
        let before = self.pieces.partition_point(|(piece, _)| piece.start <= offset);
        match before.checked_sub(1).map(|last| self.pieces[last]) {
            Some((piece, _)) if offset < piece.end => None,
            Some((_, shift)) => Some(offset.wrapping_add_signed(-shift)),
            None => Some(offset),
        }
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
    fn places_are_found_again_unless_they_are_new() {
        let mut patch = Patch::new();
        patch.replace(Span::new(3, 4), "two");
        let origins = patch.origins();
        assert_eq!(patch.apply(b"a: 1\nb: 2\n").expose(), b"a: two\nb: 2\n");
        assert_eq!(origins.of(0), Some(0));
        assert_eq!(origins.of(4), None);
        assert_eq!(origins.of(10), Some(8));
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
