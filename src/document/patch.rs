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

impl Splice {
    /// What replacements are ordered by.
    fn place(&self) -> (usize, usize) {
        (self.span.start, self.span.end)
    }
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

    /// By how many bytes the text becomes longer, and by how many shorter.
    pub fn change_of_len(&self) -> (usize, usize) {
        let added = self.splices.iter().map(|splice| splice.text.len()).sum();
        let removed = self.splices.iter().map(|splice| splice.span.len()).sum();
        (added, removed)
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
        self.splices.sort_by_key(Splice::place);
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// The text with every replacement made; sized first, allocated once.
    pub fn apply(&mut self, source: &[u8]) -> SecretText {
        self.sort();
        let (added, removed) = self.change_of_len();
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

/// A text that is changed from front to back: what is replaced need not be held until the end.
pub struct Rewrite<'s> {
    source: &'s [u8],
    result: SecretText,
    /// How much of the source is in the result.
    done: usize,
    /// Replacements that are known before the others, in order.
    ahead: std::iter::Peekable<std::vec::IntoIter<Splice>>,
    in_order: bool,
}

impl<'s> Rewrite<'s> {
    /// Begins to change `source`. `ahead` is what is known already; `capacity` is how long the result is going to be,
    /// as far as can be told.
    pub fn new(source: &'s [u8], mut ahead: Patch, capacity: usize) -> Self {
        ahead.sort();
        let ahead = ahead.splices.into_iter().peekable();
        Self { source, result: SecretText::with_capacity(capacity), done: 0, ahead, in_order: true }
    }

    /// Makes the replacements of `patch` and leaves it empty. They come behind all that were made before.
    pub fn make(&mut self, patch: &mut Patch) {
        patch.sort();
        for splice in patch.splices.drain(..) {
            while let Some(known) = self.ahead.next_if(|known| known.place() < splice.place()) {
                self.splice(&known);
            }
            self.splice(&splice);
        }
    }

    fn splice(&mut self, Splice { span, text }: &Splice) {
        self.in_order &= self.done <= span.start;
        if self.in_order {
            self.result.push(&self.source[self.done..span.start]);
            self.result.push(text.expose());
            self.done = span.end;
        }
    }

    /// The changed text; `None` when a replacement did not come behind those before it. All of them in one [`Patch`]
    /// give the text then.
    pub fn finish(mut self) -> Option<SecretText> {
        while let Some(known) = self.ahead.next() {
            self.splice(&known);
        }
        self.result.push(&self.source[self.done..]);
        self.in_order.then_some(self.result)
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
    fn a_text_changed_from_front_to_back_is_the_one_that_a_patch_gives() {
        let source = b"a: 1\nb: 2\nc: 3\n";
        let replacements = [(3, 4, "one"), (5, 5, "# b\n"), (8, 9, "two"), (13, 14, "")];
        for known in 0..replacements.len() {
            let (mut whole, mut ahead) = (Patch::new(), Patch::new());
            let mut rewrite_with = Vec::new();
            for (number, (start, end, text)) in replacements.into_iter().enumerate() {
                whole.replace(Span::new(start, end), text);
                match number == known {
                    true => ahead.replace(Span::new(start, end), text),
                    false => rewrite_with.push((Span::new(start, end), text)),
                }
            }
            let mut rewrite = Rewrite::new(source, ahead, 0);
            for (span, text) in rewrite_with {
                let mut patch = Patch::new();
                patch.replace(span, text);
                rewrite.make(&mut patch);
                assert!(patch.is_empty());
            }
            assert!(rewrite.finish().unwrap() == whole.apply(source));
        }
    }

    #[test]
    fn a_replacement_before_what_is_done_already_is_noticed() {
        for (start, end) in [(0, 1), (2, 2), (3, 4)] {
            let mut rewrite = Rewrite::new(b"a: 1\n", Patch::new(), 0);
            for span in [Span::new(3, 4), Span::new(start, end)] {
                let mut patch = Patch::new();
                patch.replace(span, "x");
                rewrite.make(&mut patch);
            }
            assert!(rewrite.finish().is_none());
        }
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
