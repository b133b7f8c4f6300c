//! A file on its way between plain and sealed: where texts, values and keys meet.
//!
//! [`PlainFile`] → `seal` → text · [`SealedFile`] → `open` → [`OpenFile`] → plain text, or sealed again after
//! `set`, `unset`, `edit` or `rotate`. Nothing here knows where a data key comes from.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::mpsc::Receiver;

use crate::cipher::{self, Cipher, EncryptedValue, OpenError, ParseValueError};
use crate::document::{
    Comment, Document, FindError, Item, Leaf, LeafStyle, List, METADATA_KEY, Map, MetadataKeys, Node, Patch,
    Rewrite, Spot, Target, WalkError, walk,
};
use crate::key_path::{Aad, KeyPath, Step, TreePath};
use crate::mac::{MacError, MacHasher, MacVerified};
use crate::metadata::{self, LastModified, Metadata, MetadataError, VersionError};
use crate::provider::KeyGroup;
use crate::secret::{DataKey, RandomError, SecretBytes, SecretText};
use crate::selection::{CommentStack, Selection, SelectionError};
use crate::span::{Position, Span};
use crate::store::binary::DATA_KEY;
use crate::store::{Content, EditError, Element, Line, ParseError, PrintError, Remark, Store, Style};
use crate::value::{Kind, Plaintext, Tree};

/// How often a comment is sealed anew when its sealed text looks like one that stays in clear.
const SEAL_ATTEMPTS: usize = 16;

/// What stands for the MAC until the values are known, written as the MAC will be.
const PENDING_MAC: &str = "pending";

/// Why a file cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The text is not of its format.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The format that was asked for cannot hold what the file holds.
    #[error(transparent)]
    Print(#[from] PrintError),
    /// There is no document in the file.
    #[error("the file is completely empty; it must contain at least one document")]
    Empty,
    /// The file has a `sops` entry already.
    #[error("the file has a top-level entry called 'sops': it is sealed already")]
    AlreadySealed,
    /// The file has no `sops` entry.
    #[error("sops metadata not found")]
    NotSealed,
    /// The `sops` entry is not metadata.
    #[error("the metadata cannot be read: {0}")]
    Metadata(#[from] MetadataError),
    /// The version in the metadata is none.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The rule which values are sealed cannot be used.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// A key is not text.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A value does not open.
    #[error("the value at {path} (line {position}) does not open: {problem}")]
    Value {
        /// The keys that lead to it.
        path: KeyPath,
        /// Where it stands.
        position: Position,
        /// What is wrong.
        #[source]
        problem: ValueProblem,
    },
    /// The values are not those the MAC was made for.
    #[error(transparent)]
    Mac(#[from] MacError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A place cannot be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A place cannot be found.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The bytes of a file would stay in clear.
    #[error("the rule which values are sealed leaves out 'data', which is all there is in a binary file")]
    NothingSealed,
    /// A sealed comment would look like one that stays in clear.
    #[error(
        "the sealed form of a comment matches the unencrypted_comment_regex, so it could not be opened again"
    )]
    CommentMatches,
}

/// Why one value does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueProblem {
    /// It should be sealed but is a number, a boolean or a date in clear.
    #[error("it should be sealed but is a plain {}", kind.name())]
    Plain {
        /// What it is.
        kind: Kind,
    },
    /// It is text, but not sealed text.
    #[error(transparent)]
    Unreadable(#[from] ParseValueError),
    /// It is sealed, but not with this key for this place.
    #[error(transparent)]
    NotOpening(#[from] OpenError),
}

// ---------------------------------------------------------------- plain

/// A parsed file without metadata.
pub struct PlainFile {
    store: &'static dyn Store,
    document: Document,
}

impl PlainFile {
    /// Parses a plain text.
    pub fn parse(text: SecretText, store: &'static dyn Store) -> Result<Self, FileError> {
        let document = store.parse_plain(text)?;
        if document.branches.is_empty() {
            return Err(FileError::Empty);
        }
        if document.branches.iter().any(|branch| branch.metadata().is_some()) {
            return Err(FileError::AlreadySealed);
        }
        Ok(Self { store, document })
    }

    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The store that read it.
    pub fn store(&self) -> &'static dyn Store {
        self.store
    }

    /// Seals the file with `key`. The key groups of `metadata` must hold the wrapped key already; its MAC and
    /// time are set here.
    pub fn seal(self, key: &DataKey, metadata: Metadata, style: Style) -> Result<SecretText, FileError> {
        let cipher = Cipher::new(key);
        if let Some(envelope) = self.store.envelope() {
            return seal_bytes(self.document.text, &cipher, metadata, envelope, style);
        }
        let draft = Draft::of_plain(self.store, self.document, metadata, style)?;
        draft.seal(&cipher, &Originals::none(), style)
    }

    /// Seals the file with `key`, as [`PlainFile::seal`], and prints it in the format of `output`.
    pub fn seal_as(
        self,
        key: &DataKey,
        metadata: Metadata,
        output: &dyn Store,
        style: Style,
    ) -> Result<SecretText, FileError> {
        // The layout is the other format's: in between it does not matter.
        let between = Style { indent: 4, tabs: false };
        let store = self.store;
        let text = if self.store.envelope().is_some() {
            self.seal(key, metadata, between)?
        } else {
            let mut draft = Draft::of_plain(self.store, self.document, metadata, between)?;
            draft.keeps_spellings = false;
            draft.seal(&Cipher::new(key), &Originals::none(), between)?
        };
        SealedFile::parse(text, store)?.converted(output, style)
    }
}

// ---------------------------------------------------------------- sealed

/// A parsed file with its metadata, values sealed.
pub struct SealedFile {
    store: &'static dyn Store,
    document: Document,
    metadata: Metadata,
}

impl SealedFile {
    /// Parses a sealed text.
    pub fn parse(text: SecretText, store: &'static dyn Store) -> Result<Self, FileError> {
        let document = store.parse(text)?;
        let tree = store.metadata(&document)?.ok_or(FileError::NotSealed)?;
        let metadata = Metadata::from_tree(&tree)?;
        Ok(Self { store, document, metadata })
    }

    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Opens every value and checks the MAC.
    pub fn open(self, key: &DataKey) -> Result<OpenFile, FileError> {
        let mut spots = Vec::new();
        let Opening { mac, odd_comments } = self.open_batches(key, |_, batch| spots.append(batch))?;
        let verified = Some(self.verify(mac, key)?);
        let Self { store, document, metadata } = self;
        Ok(OpenFile { store, document, metadata, spots, odd_comments, verified })
    }

    /// Opens every value without asking whether the file is complete and unchanged.
    ///
    /// Each sealed value is still authenticated by itself.
    pub fn dangerous_open_unverified(self, key: &DataKey) -> Result<OpenFile, FileError> {
        let mut spots = Vec::new();
        let Opening { odd_comments, .. } = self.open_batches(key, |_, batch| spots.append(batch))?;
        let Self { store, document, metadata } = self;
        Ok(OpenFile { store, document, metadata, spots, odd_comments, verified: None })
    }

    /// The plain text of the file, every value opened and the MAC checked.
    ///
    /// It is that of [`OpenFile::plain_text`] in less memory, where nothing else is wanted of the file: each value goes
    /// into the text when it is open, and is not kept.
    pub fn decrypt(self, key: &DataKey) -> Result<Decrypted, FileError> {
        self.decrypt_values(key, true)
    }

    /// As [`SealedFile::decrypt`], without asking whether the file is complete and unchanged.
    pub fn dangerous_decrypt_unverified(self, key: &DataKey) -> Result<Decrypted, FileError> {
        self.decrypt_values(key, false)
    }

    fn decrypt_values(self, key: &DataKey, must_verify: bool) -> Result<Decrypted, FileError> {
        let text = if self.store.envelope().is_some() {
            None
        } else {
            let metadata = self.store.remove_metadata(&self.document);
            let mut rewrite = Rewrite::new(self.document.bytes(), metadata, opened_len(&self.document));
            let mut patch = Patch::new();
            let mut written = Ok(());
            let Opening { mac, odd_comments } = self.open_batches(key, |closed, spots| {
                for (closed, spot) in closed.iter().zip(spots.drain(..)) {
                    if written.is_ok() {
                        written = spot.put_into(&mut patch, self.store, &self.document, closed.spot);
                        rewrite.make(&mut patch);
                    }
                }
            })?;
            if must_verify {
                self.verify(mac, key)?;
            }
            written?;
            rewrite.finish().map(|text| (text, odd_comments))
        };
        if let Some((text, odd_comments)) = text {
            return Ok(Decrypted { text, odd_comments, document: self.document });
        }
        let mut open = if must_verify { self.open(key)? } else { self.dangerous_open_unverified(key)? };
        let text = open.take_plain_text()?;
        Ok(Decrypted { text, odd_comments: open.odd_comments, document: open.document })
    }

    fn verify(&self, mac: MacHasher, key: &DataKey) -> Result<MacVerified, MacError> {
        let aad = self.metadata.last_modified.aad();
        mac.finish().verify(&self.metadata.mac, &Cipher::new(key), &aad)
    }

    /// Opens every spot of the file, in the order of the walk, and gives them to `take`, a batch at a time.
    fn open_batches<'d>(
        &'d self,
        key: &DataKey,
        mut take: impl FnMut(&[ClosedSpot<'d>], &mut Vec<OpenSpot>),
    ) -> Result<Opening, FileError> {
        let Self { store, document, metadata } = self;
        metadata::check_version(&metadata.version)?;
        let selection = Selection::compile(&metadata.selection)?;
        let opener = Opener { store: *store, document, cipher: Cipher::new(key) };
        let (mut spots, mut closed) = (Vec::new(), Vec::new());
        let mut number_of_first = 0;
        let mut odd_comments = Vec::new();
        let mut mac = MacHasher::new(metadata.mac_only_encrypted);
        let text = document.bytes();
        let failed = |failure: LeafFailure| failure.in_file(document, &selection);
        let mut open = |closed: &mut Vec<ClosedSpot<'d>>, spots: &mut Vec<OpenSpot>| {
            opener.open_batch(closed, spots, number_of_first, &mut mac)?;
            number_of_first += closed.len();
            take(closed, spots);
            closed.clear();
            spots.clear();
            Ok(())
        };
        walk(document, &selection, |place| -> Result<(), FileError> {
            let aad = place.path.aad();
            let selected = place.selected;
            spots.push(match place.spot {
                Spot::Leaf(leaf) => OpenSpot {
                    span: leaf.span,
                    sealed: None,
                    value: None,
                    spelling: None,
                    aad,
                    in_flow: leaf.in_flow,
                },
                Spot::Comment(comment) => {
                    let sealed = comment.span.of(text);
                    let open = || open_comment(sealed, place.path, &opener);
                    let value = place.selected.then(open).flatten();
                    if place.selected && value.is_none() && !sealed.is_empty() {
                        odd_comments.push(Position::of(text, comment.span.start));
                    }
                    let (aad, value) = value.map_or((aad, None), |(aad, value)| (aad, Some(value)));
                    let sealed = value.is_some().then(|| sealed_part(text, place.spot));
                    OpenSpot { span: comment.span, sealed, value, spelling: None, aad, in_flow: false }
                }
            });
            closed.push(ClosedSpot { spot: place.spot, selected });
            if closed.len() == BATCH { open(&mut closed, &mut spots).map_err(failed) } else { Ok(()) }
        })?;
        open(&mut closed, &mut spots).map_err(failed)?;
        Ok(Opening { mac, odd_comments })
    }

    /// The file for other key groups, which wrap the same data key: nothing but the metadata changes.
    pub fn with_key_groups(mut self, groups: Vec<KeyGroup>, threshold: usize, style: Style) -> SecretText {
        self.metadata.key_groups = groups;
        self.metadata.shamir_threshold = threshold;
        let mut patch = self.store.write_metadata(&self.document, &self.metadata.to_tree(), style);
        patch.apply(self.document.bytes())
    }
}

impl SealedFile {
    /// The sealed file in another format: the same sealed texts and metadata.
    ///
    /// SOPS 3.13: a file is sealed as its own format has it; what is printed then is sealed text. So a date stays a
    /// date even where the other format has no dates.
    pub fn converted(&self, output: &dyn Store, style: Style) -> Result<SecretText, FileError> {
        let plain = self.store.remove_metadata(&self.document).apply(self.document.bytes());
        let roots = Content::of_document(&self.store.parse(plain)?, self.store)?;
        // sops: sealed, a binary file is JSON, whatever it holds.
        let output = output.envelope().unwrap_or(output);
        let document = output.parse(output.print_file(&roots, style)?)?;
        Ok(output.write_metadata(&document, &self.metadata.to_tree(), style).apply(document.bytes()))
    }
}

/// What is known when every spot was opened.
struct Opening {
    mac: MacHasher,
    odd_comments: Vec<Position>,
}

/// A file's plain text.
pub struct Decrypted {
    /// The text.
    pub text: SecretText,
    /// Comments that should be sealed but do not open: they are in it as they are.
    pub odd_comments: Vec<Position>,
    document: Document,
}

impl Decrypted {
    /// Wipes the texts, and leaves the memory of the rest to the end of the process, as
    /// [`OpenFile::wipe_and_leave`] does.
    pub fn wipe_and_leave(self) {
        self.document.wipe_and_leave();
    }
}

/// About how long the text of a document is without its metadata when the values in it are open.
fn opened_len(document: &Document) -> usize {
    /// What a sealed text has beside the base64 of its value, at least.
    const REST: usize = 100;
    let text = document.bytes();
    let mut len = text.len() + text.len() / 64;
    let mut maps: Vec<&Map> = document.branches.iter().map(|branch| &branch.root).collect();
    let mut lists: Vec<&List> = Vec::new();
    let mut leaf = |leaf: &Leaf| {
        let sealed = leaf.span.len();
        if sealed > REST && leaf.span.of(text)[..REST].windows(4).any(|window| window == b"ENC[") {
            len -= sealed - (sealed - REST).div_ceil(4) * 3;
        }
    };
    loop {
        let nodes: &mut dyn Iterator<Item = &Node> = if let Some(map) = maps.pop() {
            &mut map.pairs().map(|pair| &pair.value)
        } else if let Some(list) = lists.pop() {
            &mut list.items.iter().filter_map(|item| match item {
                Item::Value { node, .. } => Some(node),
                Item::Comment(_) => None,
            })
        } else {
            return len;
        };
        for node in nodes {
            match node {
                Node::Map(map) => maps.push(map),
                Node::List(list) => lists.push(list),
                Node::Leaf(scalar) => leaf(scalar),
            }
        }
    }
}

/// A spot that is to be opened.
struct ClosedSpot<'d> {
    spot: Spot<'d>,
    selected: bool,
}

/// What it takes to open the leaves of a file.
struct Opener<'d> {
    store: &'static dyn Store,
    document: &'d Document,
    cipher: Cipher,
}

/// The leaf that could not be opened, by its number, and why.
struct LeafFailure {
    number: usize,
    problem: LeafProblem,
}

enum LeafProblem {
    Unreadable(ParseError),
    NotOpening(ValueProblem),
}

/// So many leaves are worth a second thread.
const LEAVES_FOR_TWO: usize = 500;

/// So many spots are opened at a time: enough to make little of the threads that it takes.
const BATCH: usize = 8192;

impl Opener<'_> {
    /// Opens what is a leaf of some spots, the first of which has this number, and adds the values to the digest.
    fn open_batch(
        &self,
        closed: &[ClosedSpot<'_>],
        spots: &mut [OpenSpot],
        number: usize,
        mac: &mut MacHasher,
    ) -> Result<(), LeafFailure> {
        if let (0, [ClosedSpot { spot: Spot::Leaf(leaf), selected: true }], [spot]) =
            (number, closed, &mut *spots)
            && let Some(opened) = self.open_long(leaf, spot, mac)
        {
            *mac = opened.map_err(|problem| LeafFailure { number, problem })?;
            return Ok(());
        }
        self.open_all(closed, spots, number)?;
        for (closed, spot) in closed.iter().zip(spots) {
            if let (Spot::Leaf(_), Some(value)) = (closed.spot, &spot.value)
                && (closed.selected || !mac.is_only_over_sealed())
            {
                mac.update(value);
            }
        }
        Ok(())
    }

    /// Puts the value of each leaf into the spot with its number; the first that has none stops it.
    fn open_all(
        &self,
        leaves: &[ClosedSpot<'_>],
        spots: &mut [OpenSpot],
        number: usize,
    ) -> Result<(), LeafFailure> {
        if leaves.len() < LEAVES_FOR_TWO {
            return self.open_some(leaves, spots, number);
        }
        let half = leaves.len() / 2;
        let first = &leaves[..half];
        let (first_spots, second_spots) = spots.split_at_mut(half);
        // Where there is no other thread to be had, this one does both halves.
        let second = Mutex::new(Some(second_spots));
        let open_second = || match second.lock().map(|mut spots| spots.take()) {
            Ok(Some(spots)) => self.open_some(&leaves[half..], spots, number + half),
            _ => Ok(()),
        };
        std::thread::scope(|scope| {
            let other = std::thread::Builder::new().spawn_scoped(scope, open_second);
            self.open_some(first, first_spots, number)?;
            match other {
                Ok(other) => other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => open_second(),
            }
        })
    }

    fn open_some(
        &self,
        leaves: &[ClosedSpot<'_>],
        spots: &mut [OpenSpot],
        first_number: usize,
    ) -> Result<(), LeafFailure> {
        for (at, (closed, spot)) in leaves.iter().zip(spots).enumerate() {
            if let Spot::Leaf(leaf) = closed.spot {
                let failed = |problem| LeafFailure { number: first_number + at, problem };
                (spot.sealed, spot.value) =
                    self.open_leaf(leaf, closed.selected, &spot.aad).map_err(failed)?;
                spot.spelling = self.open_spelling(spot);
            }
        }
        Ok(())
    }

    /// The value of a leaf, and its sealed text if it was sealed.
    fn open_leaf(
        &self,
        leaf: &Leaf,
        selected: bool,
        aad: &Aad,
    ) -> Result<(Option<Span>, Option<Plaintext>), LeafProblem> {
        let (document, cipher) = (self.document, &self.cipher);
        if selected
            && let Some(span) = self.store.written(document, leaf)
            && let Some(opened) = cipher::open_usual(span.of(document.bytes()), cipher, aad)
        {
            let value = opened.map_err(|error| LeafProblem::NotOpening(error.into()))?;
            return Ok((Some(span), Some(value)));
        }
        let written = self.store.read(document, leaf).map_err(LeafProblem::Unreadable)?;
        let Some(value) = written.as_ref().filter(|value| selected && !value.is_empty()) else {
            return Ok((None, written));
        };
        let opened = match value.kind() {
            Kind::Str => EncryptedValue::parse(value.expose())
                .map_err(ValueProblem::from)
                .and_then(|sealed| Ok(sealed.open(cipher, aad)?)),
            kind => Err(ValueProblem::Plain { kind }),
        };
        let value = opened.map_err(LeafProblem::NotOpening)?;
        Ok((Some(sealed_part(document.bytes(), Spot::Leaf(leaf))), Some(value)))
    }
}

impl Opener<'_> {
    /// Opens the only leaf of a file, which is sealed, and takes its digest at the same time, if it is long enough for that.
    fn open_long(
        &self,
        leaf: &Leaf,
        spot: &mut OpenSpot,
        mac: &MacHasher,
    ) -> Option<Result<MacHasher, LeafProblem>> {
        let span = self.store.written(self.document, leaf)?;
        let mut mac = mac.clone();
        let digest = move |pieces: Receiver<&[u8]>| {
            pieces.iter().for_each(|piece| mac.update_bytes(piece));
            mac
        };
        let text = span.of(self.document.bytes());
        let opened = cipher::open_long(text, &self.cipher, &spot.aad, digest)?;
        Some(match opened {
            Ok((value, mac)) => {
                (spot.sealed, spot.value) = (Some(span), Some(value));
                spot.spelling = self.open_spelling(spot);
                Ok(mac)
            }
            Err(error) => Err(LeafProblem::NotOpening(error.into())),
        })
    }

    /// How the value of a spot was spelled, where that stands behind its sealed text.
    ///
    /// What does not open, or spells another value, counts as not there.
    fn open_spelling(&self, spot: &OpenSpot) -> Option<SecretText> {
        let (sealed, value) = (spot.sealed?, spot.value.as_ref()?);
        let rest = self.document.bytes().get(sealed.end..spot.span.end)?;
        let rest = rest.strip_suffix(b"\"").filter(|rest| !rest.is_empty())?;
        let text = sealed.of(self.document.bytes());
        let spelling = cipher::open_spelling(text, rest, &self.cipher, &spot.aad)?;
        self.store.spells(spelling.expose(), value).then(|| spelling.into_text())
    }
}

impl LeafFailure {
    /// The failure with its place: paths are not kept for each leaf, so the tree is walked once more.
    fn in_file(self, document: &Document, selection: &Selection) -> FileError {
        let problem = match self.problem {
            LeafProblem::Unreadable(error) => return error.into(),
            LeafProblem::NotOpening(problem) => problem,
        };
        let mut number = 0;
        let mut place_of_failure = (KeyPath::root(), 0);
        let walked = walk(document, selection, |place| -> Result<(), WalkError> {
            if let (Spot::Leaf(leaf), true) = (place.spot, number == self.number) {
                place_of_failure = (place.path.clone(), leaf.span.start);
            }
            number += 1;
            Ok(())
        });
        debug_assert!(walked.is_ok(), "the tree was walked before");
        let (path, start) = place_of_failure;
        FileError::Value { path, position: Position::of(document.bytes(), start), problem }
    }
}

/// Opens a comment, bound to its path or to that of a map around it.
///
/// sops drops blank lines, after which a comment at the end of a block may be read one level deeper than it was
/// sealed (upstream's own test COMMENT_7 has that layout).
fn open_comment(text: &[u8], path: &KeyPath, opener: &Opener<'_>) -> Option<(Aad, Plaintext)> {
    let sealed = EncryptedValue::parse(text).ok()?;
    let mut path = path.clone();
    loop {
        let aad = path.aad();
        if let Ok(value) = sealed.open(&opener.cipher, &aad) {
            return opener.store.holds_comment(value.expose()).then_some((aad, value));
        }
        if path.is_root() {
            return None;
        }
        path.pop();
    }
}

// ---------------------------------------------------------------- open

/// One leaf or comment of an opened file, in the order of the walk.
struct OpenSpot {
    /// Where it stands in the sealed text.
    span: Span,
    /// Its `ENC[…]` alone, when it was sealed.
    sealed: Option<Span>,
    /// Its value; `None` for null and for comments that stay as they are.
    value: Option<Plaintext>,
    /// How it was spelled, where that is remembered.
    spelling: Option<SecretText>,
    aad: Aad,
    /// Whether it stands in braces or brackets, where quotes mean something else.
    in_flow: bool,
}

impl OpenSpot {
    /// Puts the value, if it was sealed, in the place of its sealed text.
    fn put_into(
        &self,
        patch: &mut Patch,
        store: &dyn Store,
        document: &Document,
        spot: Spot<'_>,
    ) -> Result<(), FileError> {
        let (Some(_), Some(value)) = (self.sealed, &self.value) else { return Ok(()) };
        match (spot, &self.spelling) {
            (Spot::Leaf(leaf), Some(spelling)) => {
                patch.replace(leaf.span, SecretText::copy_of(spelling.expose()));
            }
            (Spot::Leaf(leaf), None) => {
                store.check(value)?;
                store.open_leaf(patch, document, leaf, value);
            }
            (Spot::Comment(comment), _) => store.open_comment(patch, document, comment, value.expose()),
        }
        Ok(())
    }
}

/// A file whose values are open.
pub struct OpenFile {
    store: &'static dyn Store,
    document: Document,
    metadata: Metadata,
    spots: Vec<OpenSpot>,
    odd_comments: Vec<Position>,
    verified: Option<MacVerified>,
}

impl OpenFile {
    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata, to change the keys before [`OpenFile::rotate`].
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// The sealed text.
    pub fn sealed_text(&self) -> &[u8] {
        self.document.bytes()
    }

    /// Comments that should be sealed but do not open.
    pub fn odd_comments(&self) -> &[Position] {
        &self.odd_comments
    }

    /// Whether the MAC was checked.
    pub fn is_verified(&self) -> bool {
        self.verified.is_some()
    }

    /// Wipes the values and the text, and leaves the memory of the rest to the end of the process.
    ///
    /// For a program that ends now: to take a large tree apart leaf by leaf takes longer than to let go of it.
    pub fn wipe_and_leave(mut self) {
        self.spots.iter_mut().filter_map(|spot| spot.value.as_mut()).for_each(Plaintext::wipe);
        self.spots.iter_mut().filter_map(|spot| spot.spelling.as_mut()).for_each(SecretText::wipe);
        let Self { document, spots, .. } = self;
        document.wipe_and_leave();
        std::mem::forget(spots);
    }

    /// The plain text: every value in its place, the metadata gone, all else as it is.
    pub fn plain_text(&self) -> Result<SecretText, FileError> {
        if self.store.envelope().is_some() {
            let data = self.spots[self.data_spot()?].value.as_ref();
            return Ok(SecretText::copy_of(data.map_or(b"", Plaintext::expose)));
        }
        self.text_with_values()
    }

    /// The plain text, as [`OpenFile::plain_text`], without a second copy of a file that is one value.
    pub fn take_plain_text(&mut self) -> Result<SecretText, FileError> {
        if self.store.envelope().is_none() {
            return self.text_with_values();
        }
        let data = self.data_spot()?;
        let data = self.spots[data].value.take();
        Ok(data.map_or_else(SecretText::default, |value| value.into_bytes().into_text()))
    }

    /// The spot of the bytes of a file that is nothing but bytes.
    fn data_spot(&self) -> Result<usize, FileError> {
        let problem = match self.document.branches.first().and_then(|branch| branch.root.pair(DATA_KEY)) {
            Some(pair) => {
                let spot = self.spots.iter().position(|spot| spot.span == pair.value.span());
                let is_text =
                    |at: &usize| self.spots[*at].value.as_ref().is_some_and(|v| v.kind() == Kind::Str);
                match spot.filter(is_text) {
                    Some(spot) => return Ok(spot),
                    None => "what stands under the key 'data' is no text",
                }
            }
            None => {
                "no binary data found in tree, which is what would stand under the key 'data': say what the output \
                 is with --output-type"
            }
        };
        Err(PrintError { format: "binary", problem: problem.to_owned() }.into())
    }

    /// The sealed text with its values in their places and without the metadata.
    fn text_with_values(&self) -> Result<SecretText, FileError> {
        let text = self.document.bytes();
        let metadata = self.store.remove_metadata(&self.document);
        let opened = self.spots.iter().filter_map(|spot| Some((spot.sealed?.len(), spot.value.as_ref()?)));
        let (added, removed) = opened.fold(metadata.change_of_len(), |(added, removed), (sealed, value)| {
            (added + value.expose().len(), removed + sealed)
        });
        let mut rewrite = Rewrite::new(text, metadata, (text.len() + added).saturating_sub(removed));
        self.open_spots(|_, _, patch| rewrite.make(patch))?;
        if let Some(text) = rewrite.finish() {
            return Ok(text);
        }
        let mut whole = Patch::new();
        self.open_spots(|_, _, patch| whole.extend(std::mem::take(patch)))?;
        whole.extend(self.store.remove_metadata(&self.document));
        Ok(whole.apply(text))
    }

    /// The plain text, parsed.
    pub fn plain_document(&self) -> Result<Document, FileError> {
        Ok(self.store.parse_plain(self.plain_text()?)?)
    }

    /// The sealed text with its values in their places and without the metadata, parsed.
    pub fn document_with_values(&self) -> Result<Document, FileError> {
        Ok(self.store.parse(self.text_with_values()?)?)
    }

    /// The plain text printed by `output`, in its normal form.
    pub fn reprinted(&self, output: &dyn Store, style: Style) -> Result<SecretText, FileError> {
        if self.store.keeps_all_kinds() {
            let roots = Content::of_document(&self.plain_document()?, self.store)?;
            return Ok(output.print_file(&roots, style)?);
        }
        Ok(output.print_file(&self.contents()?, style)?)
    }

    /// What the file holds, with the kinds that were sealed: a format without dates and comments has no text for them.
    fn contents(&self) -> Result<Vec<Vec<Line<'_>>>, FileError> {
        let values = Values::of(self);
        self.document.branches.iter().map(|branch| values.lines(&branch.root, true)).collect()
    }

    /// What `path` names, as `--extract` prints it: a map as a file, text as it is, all else as a single value.
    ///
    /// SOPS 3.13: the other documents of a file follow a map.
    pub fn extract(
        &self,
        path: &TreePath,
        output: &dyn Store,
        style: Style,
    ) -> Result<SecretText, FileError> {
        if !self.store.keeps_all_kinds() {
            if let Some(key) = metadata_key(&self.document, path) {
                return Err(FindError::NoSuchKey { key: key.to_owned() }.into());
            }
            self.document.find(path)?;
            let Some(node) = self.document.node(path) else {
                return self.reprinted(output, style);
            };
            let content = Values::of(self).content(node)?;
            return print_extracted(content, Vec::new(), output, style);
        }
        let document = self.plain_document()?;
        if let Target::Comment(comment) = document.find(path)?.target {
            return Ok(SecretText::copy_of(comment.span.of(document.bytes())));
        }
        let roots = Content::of_document(&document, self.store)?;
        let Some(node) = document.node(path) else { return Ok(output.print_file(&roots, style)?) };
        let others = roots.into_iter().skip(1).collect();
        print_extracted(Content::of_node(&document, node, self.store)?, others, output, style)
    }

    /// Gives the replacements that open each sealed spot to `take`, which is to empty the patch, with the number of
    /// the spot and its place.
    fn open_spots(&self, mut take: impl FnMut(usize, Span, &mut Patch)) -> Result<(), FileError> {
        let mut patch = Patch::new();
        let selection = Selection::compile(&self.metadata.selection)?;
        let mut spots = self.spots.iter().enumerate();
        walk(&self.document, &selection, |place| -> Result<(), FileError> {
            let (number, spot) = spots.next().expect("the same document has the same spots");
            spot.put_into(&mut patch, self.store, &self.document, place.spot)?;
            take(number, spot.span, &mut patch);
            Ok(())
        })
    }

    /// Sealed again with `path` set to `value`; `None` when nothing changed.
    pub fn set(
        self,
        key: &DataKey,
        path: &TreePath,
        value: &Tree,
        style: Style,
    ) -> Result<Option<SecretText>, FileError> {
        if metadata_key(&self.document, path).is_some() {
            return Err(FileError::AlreadySealed);
        }
        let value = &self.store.adapted(path, value)?;
        if let (Tree::Leaf(value), Ok(Target::Leaf(leaf))) =
            (value, self.document.find(path).map(|found| found.target))
        {
            let spot = self.spots.iter().find(|spot| spot.span.start == leaf.span.start);
            if spot.is_some_and(|spot| spot.value.as_ref() == Some(value)) {
                return Ok(None);
            }
        }
        let edit = self.store.set(&self.document, path, value)?;
        self.reseal_patched(key, edit.patch, Some(edit.place), Change { path, value: Some(value) }, style)
    }

    /// Sealed again without what `path` names.
    pub fn unset(
        self,
        key: &DataKey,
        path: &TreePath,
        style: Style,
    ) -> Result<Option<SecretText>, FileError> {
        if let Some(key) = metadata_key(&self.document, path) {
            return Err(FindError::NoSuchKey { key: key.to_owned() }.into());
        }
        let patch = self.store.unset(&self.document, path)?;
        self.reseal_patched(key, patch, None, Change { path, value: None }, style)
    }

    /// Sealed again after a change to the *sealed* text, in which new values stand in clear. `replaced` is where a
    /// value stood that has a new one, though perhaps the same header.
    fn reseal_patched(
        self,
        key: &DataKey,
        mut patch: Patch,
        replaced: Option<usize>,
        change: Change<'_>,
        style: Style,
    ) -> Result<Option<SecretText>, FileError> {
        let mut missing: Vec<bool> = self
            .spots
            .iter()
            .map(|spot| replaced != Some(spot.span.start) && !patch.removes(spot.span.start))
            .collect();
        let origins = patch.origins();
        let changed = patch.apply(self.document.bytes());
        let document = self.store.parse(changed)?;
        if document.branches.first().is_some_and(|branch| {
            branch.metadata_keys == MetadataKeys::Entry
                && branch.root.pairs().filter(|pair| branch.metadata_keys.names(&pair.key.name)).count() > 1
        }) {
            return Err(FileError::AlreadySealed);
        }
        let by_place: HashMap<usize, usize> =
            self.spots.iter().enumerate().map(|(number, spot)| (spot.span.start, number)).collect();
        let old = |span: Span| {
            let place = origins.of(span.start).filter(|&place| replaced != Some(place))?;
            by_place.get(&place).copied()
        };
        let selection = Selection::compile(&self.metadata.selection)?;
        let mut sources = Vec::new();
        let mut new_values = Vec::new();
        let mut fits = same_branches(&self.document, &document);
        walk(&document, &selection, |place| -> Result<(), FileError> {
            let text = document.bytes();
            sources.push(match place.spot {
                Spot::Leaf(leaf) => match old(leaf.span) {
                    Some(number) => {
                        let spot = &self.spots[number];
                        fits &= std::mem::take(&mut missing[number]) && spot.aad == place.path.aad();
                        fits &= match spot.sealed {
                            Some(_) => {
                                let before = spot.span.of(self.document.bytes()).trim_ascii_end();
                                leaf.span.of(text).trim_ascii_end() == before
                            }
                            None => self.store.read(&document, leaf)? == spot.value,
                        };
                        Source::Old(number)
                    }
                    None => {
                        let value = self.store.read(&document, leaf)?;
                        fits &= change.covers(place.path);
                        new_values.push(sources.len());
                        Source::New(value)
                    }
                },
                Spot::Comment(comment) => match old(comment.span) {
                    Some(number) => {
                        fits &= std::mem::take(&mut missing[number]);
                        let stays_sealed = cipher::looks_sealed(comment.span.of(text));
                        if place.selected && self.spots[number].sealed.is_none() && !stays_sealed {
                            // sops: a comment that was left in clear by mistake, or belongs to a sealed value now.
                            Source::New(new_comment(&document, comment))
                        } else {
                            Source::Old(number)
                        }
                    }
                    None => {
                        fits = false;
                        Source::New(new_comment(&document, comment))
                    }
                },
            });
            Ok(())
        })?;
        let new_values = new_values.into_iter().map(|at| match &sources[at] {
            Source::New(value) => value.as_ref(),
            Source::Old(_) => unreachable!("only new values were noted"),
        });
        if !fits || missing.contains(&true) || !change.is_made_by(new_values) {
            return Err(EditError::NoRoom.into());
        }
        let draft =
            Draft { store: self.store, document, metadata: self.metadata, sources, keeps_spellings: true };
        let originals = Originals::of(&self.spots, self.document.bytes(), HashMap::new());
        draft.reseal(&Cipher::new(key), &originals, self.document.bytes(), style)
    }

    /// Sealed again with the text that an editor left; `None` when nothing changed.
    ///
    /// A value whose place, kind and content are as before keeps its sealed text.
    pub fn edited(
        self,
        key: &DataKey,
        edited: SecretText,
        style: Style,
    ) -> Result<Option<SecretText>, FileError> {
        if self.plain_text()? == edited {
            return Ok(None);
        }
        if self.store.envelope().is_some() {
            return self.edited_bytes(key, edited, style);
        }
        let plain = PlainFile::parse(edited, self.store)?;
        let mut spellings = HashMap::new();
        self.open_spots(|number, place, patch| {
            if let (1, Some((span, text))) = (patch.len(), patch.last())
                && span.start <= place.start
            {
                spellings.insert(number, (SecretText::copy_of(text.expose()), span));
            }
            *patch = Patch::new();
        })?;
        let sealed_with = self.metadata.last_modified.clone();
        let draft = Draft::of_plain(self.store, plain.document, self.metadata, style)?;
        debug_assert_eq!(draft.metadata.last_modified, sealed_with);
        let originals = Originals::of(&self.spots, self.document.bytes(), spellings);
        draft.reseal(&Cipher::new(key), &originals, self.document.bytes(), style)
    }

    /// As [`OpenFile::edited`], for a file that is nothing but bytes.
    fn edited_bytes(
        self,
        key: &DataKey,
        edited: SecretText,
        style: Style,
    ) -> Result<Option<SecretText>, FileError> {
        let data = self.data_spot()?;
        ensure_data_is_sealed(&self.metadata)?;
        let mut patch = Patch::new();
        patch.replace(self.spots[data].span, "\"\"");
        let document = self.store.parse(patch.apply(self.document.bytes()))?;
        let mut sources: Vec<Source> = (0..self.spots.len()).map(Source::Old).collect();
        sources[data] = Source::New(Some(Plaintext::new(Kind::Str, edited.into_bytes())));
        let draft =
            Draft { store: self.store, document, metadata: self.metadata, sources, keeps_spellings: false };
        draft.reseal(&Cipher::new(key), &Originals::none_of(&self.spots), self.document.bytes(), style)
    }

    /// Sealed again, every value afresh, with a new data key that the metadata's groups wrap already.
    pub fn rotate(self, new_key: &DataKey, style: Style) -> Result<SecretText, FileError> {
        let cipher = Cipher::new(new_key);
        let text = self.document.bytes();
        let selection = Selection::compile(&self.metadata.selection)?;
        let mut metadata = self.metadata;
        let mut mac = MacHasher::new(metadata.mac_only_encrypted);
        let mut patch = Patch::new();
        let mut spots = self.spots.iter();
        walk(&self.document, &selection, |place| -> Result<(), FileError> {
            let spot = spots.next().expect("the same document has the same spots");
            if let (Spot::Comment(comment), None, true) = (place.spot, &spot.value, place.selected) {
                // sops: a comment that was left in clear by mistake.
                if !comment.span.is_empty() && !cipher::looks_sealed(comment.span.of(text)) {
                    let value = new_comment(&self.document, comment).expect("a comment has text");
                    let sealed = seal_value(&cipher, &spot.aad, &value, &selection)?;
                    self.store.seal_comment(&mut patch, &self.document, comment, &sealed);
                }
            }
            let Some(value) = &spot.value else { return Ok(()) };
            if place.selected || !metadata.mac_only_encrypted {
                mac.update(value);
            }
            if let Some(part) = spot.sealed {
                let mut sealed = seal_value(&cipher, &spot.aad, value, &selection)?;
                let mut part = part;
                if let Some(spelling) = &spot.spelling {
                    cipher::push_spelling(&mut sealed, spelling, &cipher, &spot.aad)?;
                    part.end = spot.span.end - 1;
                }
                patch.replace(part, sealed);
            }
            Ok(())
        })?;
        metadata.last_modified = LastModified::now();
        metadata.mac = mac.finish().seal(&cipher, &metadata.last_modified.aad())?.to_string();
        patch.extend(self.store.write_metadata(&self.document, &metadata.to_tree(), style));
        Ok(patch.apply(text))
    }
}

/// Prints what was extracted, with the other documents behind a map.
fn print_extracted(
    content: Content<'_>,
    others: Vec<Vec<Line<'_>>>,
    output: &dyn Store,
    style: Style,
) -> Result<SecretText, FileError> {
    match content {
        Content::Map(first) => {
            let roots: Vec<_> = std::iter::once(first).chain(others).collect();
            Ok(output.print_file(&roots, style)?)
        }
        other => match other.value() {
            Some(value) if value.kind() == Kind::Str => Ok(SecretText::copy_of(value.expose())),
            _ => Ok(output.print_value_in(&other, style)?),
        },
    }
}

/// The values of an opened file by their places.
struct Values<'o> {
    file: &'o OpenFile,
    by_place: HashMap<usize, &'o OpenSpot>,
}

impl<'o> Values<'o> {
    fn of(file: &'o OpenFile) -> Self {
        Self { file, by_place: file.spots.iter().map(|spot| (spot.span.start, spot)).collect() }
    }

    fn content(&self, node: &Node) -> Result<Content<'o>, FileError> {
        Ok(match node {
            Node::Leaf(leaf) => match self.by_place.get(&leaf.span.start) {
                Some(spot) => spot.value.as_ref().map_or(Content::Null, Content::Borrowed),
                None => self.file.store.read(&self.file.document, leaf)?.map_or(Content::Null, Content::Held),
            },
            Node::Map(map) => Content::Map(self.lines(map, false)?),
            Node::List(list) => {
                let mut elements = Vec::new();
                for item in &list.items {
                    let Item::Value { node, .. } = item else { continue };
                    elements.push(match self.content(node)? {
                        Content::Borrowed(value) if value.kind() == Kind::Comment => {
                            let text = SecretBytes::copy_of(value.expose());
                            Element::Comment(Remark { text, inline: false, unseen: false })
                        }
                        value => Element::Value(value),
                    });
                }
                Content::List(elements)
            }
        })
    }

    fn lines(&self, map: &Map, is_root: bool) -> Result<Vec<Line<'o>>, FileError> {
        let pairs = map.pairs().filter(|pair| !is_root || pair.key.name != METADATA_KEY);
        pairs.map(|pair| Ok(Line::Pair(pair.key.name.clone(), self.content(&pair.value)?))).collect()
    }
}

/// The `ENC[…]` of a sealed spot, without quotes and block header.
fn sealed_part(text: &[u8], spot: Spot<'_>) -> Span {
    let place = match spot {
        Spot::Leaf(Leaf { style: LeafStyle::Block(shape), .. }) => {
            Span::new(shape.content_start, shape.content_end) // a comment may stand in the header
        }
        Spot::Leaf(leaf) => leaf.span,
        Spot::Comment(comment) => comment.span,
    };
    let bytes = place.of(text);
    let start = bytes.windows(4).position(|window| window == b"ENC[");
    let end = bytes.iter().rposition(|&byte| byte == b']');
    match (start, end) {
        (Some(start), Some(end)) if start < end => Span::new(place.start + start, place.start + end + 1),
        // Someone wrote it with escapes, which only double quotes have.
        _ => Span::new(place.start + 1, place.end - 1),
    }
}

/// What `set` or `unset` is to change, to check what it did change.
struct Change<'c> {
    path: &'c TreePath,
    /// The new value; `None` when there is none.
    value: Option<&'c Tree>,
}

impl Change<'_> {
    /// Whether a new value at `path` is one that was asked for.
    fn covers(&self, path: &KeyPath) -> bool {
        let mut keys = self.path.steps().iter().filter_map(|step| match step {
            Step::Key(key) => Some(key),
            Step::Index(_) => None,
        });
        let mut above = path.components();
        keys.all(|key| above.next() == Some(key.as_str()))
    }

    /// Whether these are the values that were asked for.
    fn is_made_by<'v>(&self, mut values: impl Iterator<Item = Option<&'v Plaintext>>) -> bool {
        let mut wanted = Vec::new();
        if let Some(value) = self.value {
            leaves(value, &mut wanted);
        }
        let same = |wanted: Option<&Plaintext>, value: Option<&Plaintext>| match (wanted, value) {
            (Some(wanted), Some(value)) => {
                // A float without a fraction reads as an integer.
                let same_kind = wanted.kind() == value.kind()
                    || matches!(
                        (wanted.kind(), value.kind()),
                        (Kind::Float, Kind::Int) | (Kind::Bytes, Kind::Str)
                    );
                same_kind && wanted.expose() == value.expose()
            }
            (wanted, value) => wanted.is_none() && value.is_none(),
        };
        let mut wanted = wanted.into_iter();
        let all_fit = values.all(|value| wanted.next().is_some_and(|wanted| same(wanted, value)));
        all_fit && wanted.next().is_none()
    }
}

/// The scalars of a tree in order; `None` is null.
fn leaves<'t>(tree: &'t Tree, found: &mut Vec<Option<&'t Plaintext>>) {
    match tree {
        Tree::Null => found.push(None),
        Tree::Leaf(value) => found.push(Some(value)),
        Tree::List(items) => items.iter().for_each(|item| leaves(item, found)),
        Tree::Map(pairs) => pairs.iter().for_each(|(_, value)| leaves(value, found)),
    }
}

/// Whether two texts have as many documents, with metadata in the same ones.
fn same_branches(one: &Document, other: &Document) -> bool {
    let metadata = |document: &Document| -> Vec<bool> {
        document.branches.iter().map(|branch| branch.metadata().is_some()).collect()
    };
    metadata(one) == metadata(other)
}

/// The top-level key of a path that leads into the metadata, which is no part of the values.
fn metadata_key<'p>(document: &Document, path: &'p TreePath) -> Option<&'p str> {
    match path.steps().first() {
        Some(Step::Key(key)) if document.names_metadata(key) => Some(key),
        _ => None,
    }
}

fn new_comment(document: &Document, comment: &Comment) -> Option<Plaintext> {
    Some(Plaintext::new(Kind::Comment, SecretBytes::copy_of(document.comment_text(comment))))
}

// ---------------------------------------------------------------- sealing

/// Where the value of a spot of a draft comes from.
enum Source {
    /// It stands in clear in the draft.
    New(Option<Plaintext>),
    /// It is spot so-and-so of the opened file, and stands in the draft as it stood there.
    Old(usize),
}

/// A text that is to be sealed: values in clear (or still sealed), the metadata block in place.
///
/// The block is there before anything is sealed because it can change to which map the last comments belong, and
/// with that what they are bound to.
struct Draft {
    store: &'static dyn Store,
    document: Document,
    metadata: Metadata,
    /// One for each spot of the walk.
    sources: Vec<Source>,
    /// Whether odd spellings are remembered: not in a file that is going to be printed in another format.
    keeps_spellings: bool,
}

/// The spots of the opened file whose sealed text may be used again.
struct Originals<'o> {
    spots: &'o [OpenSpot],
    text: &'o [u8],
    /// Hash of place, kind and content → spots not used yet, the first at the end.
    by_content: HashMap<u64, Vec<usize>>,
    /// How a spot was written in the plain text, and which part of the sealed text that replaced.
    spellings: HashMap<usize, (SecretText, Span)>,
}

impl<'o> Originals<'o> {
    fn none() -> Self {
        Self { spots: &[], text: &[], by_content: HashMap::new(), spellings: HashMap::new() }
    }

    /// The values of these spots, none of whose sealed texts is used elsewhere.
    fn none_of(spots: &'o [OpenSpot]) -> Self {
        Self { spots, ..Self::none() }
    }

    fn of(spots: &'o [OpenSpot], text: &'o [u8], spellings: HashMap<usize, (SecretText, Span)>) -> Self {
        let mut by_content: HashMap<u64, Vec<usize>> = HashMap::new();
        for (number, spot) in spots.iter().enumerate().rev() {
            // What is written with escapes or on several lines fits nowhere else.
            let fits_anywhere = |part: Span| {
                let part = part.of(text);
                cipher::looks_sealed(part)
                    && part.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'\\')
            };
            if let (Some(part), Some(value)) = (spot.sealed, &spot.value)
                && fits_anywhere(part)
            {
                by_content
                    .entry(content_hash(&spot.aad, value.kind(), value.expose()))
                    .or_default()
                    .push(number);
            }
        }
        Self { spots, text, by_content, spellings }
    }

    /// A sealed spot with this place, kind and content, taken from `unused` so that equal values do not share one.
    ///
    /// A float without a fraction is printed without one, so an editor gives it back as an integer: it stays a float.
    fn take(&self, unused: &mut HashMap<u64, Vec<usize>>, aad: &Aad, value: &Plaintext) -> Option<usize> {
        let float = (value.kind() == Kind::Int).then_some(Kind::Float);
        let mut kinds = std::iter::once(value.kind()).chain(float);
        kinds.find_map(|kind| self.take_of_kind(unused, aad, kind, value.expose()))
    }

    fn take_of_kind(
        &self,
        unused: &mut HashMap<u64, Vec<usize>>,
        aad: &Aad,
        kind: Kind,
        content: &[u8],
    ) -> Option<usize> {
        let candidates = unused.get_mut(&content_hash(aad, kind, content))?;
        let fits = |number: &usize| {
            let spot = &self.spots[*number];
            let same = |value: &Plaintext| value.kind() == kind && value.expose() == content;
            spot.aad == *aad && spot.value.as_ref().is_some_and(same)
        };
        let at = candidates.iter().rposition(fits)?;
        Some(candidates.remove(at))
    }

    fn sealed_text(&self, number: usize) -> String {
        let part = self.spots[number].sealed.expect("only sealed spots are offered");
        String::from_utf8_lossy(part.of(self.text)).into_owned()
    }
}

fn content_hash(aad: &Aad, kind: Kind, content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    aad.hash(&mut hasher);
    kind.hash(&mut hasher);
    content.hash(&mut hasher);
    hasher.finish()
}

impl Draft {
    /// A draft from a plain document.
    fn of_plain(
        store: &'static dyn Store,
        plain: Document,
        metadata: Metadata,
        style: Style,
    ) -> Result<Self, FileError> {
        let selection = Selection::compile(&metadata.selection)?;
        let mut sources = Vec::new();
        let mut comments = 0;
        walk(&plain, &selection, |place| -> Result<(), FileError> {
            match place.spot {
                // Values are read before the metadata is put behind the last of them: a block without a last
                // line break would gain one.
                Spot::Leaf(leaf) => sources.push(Source::New(store.read(&plain, leaf)?)),
                Spot::Comment(_) => comments += 1,
            }
            Ok(())
        })?;
        let mut metadata = metadata;
        if metadata.mac.is_empty() {
            metadata.mac = PENDING_MAC.to_owned();
        }
        let mut block = store.write_metadata(&plain, &metadata.to_tree(), style);
        let Document { text, branches, .. } = plain;
        drop(branches);
        let with_metadata = block.apply(text.expose());
        drop(text);
        let document = store.parse(with_metadata)?;
        let mut values = sources.into_iter();
        let mut sources = Vec::new();
        walk(&document, &selection, |place| -> Result<(), FileError> {
            sources.push(match place.spot {
                Spot::Leaf(leaf) => {
                    let value = values.next().ok_or(EditError::NoRoom)?;
                    let is_empty = |value: &Option<Plaintext>| value.as_ref().is_none_or(Plaintext::is_empty);
                    if let Source::New(before) = &value
                        && is_empty(before) != is_empty(&store.read(&document, leaf)?)
                    {
                        // A block of blanks without a last line break is empty until the metadata follows it.
                        return Err(EditError::NoRoom.into());
                    }
                    // What stays in clear counts as readers of the sealed file will find it.
                    if place.selected { value } else { Source::New(store.read(&document, leaf)?) }
                }
                Spot::Comment(comment) => {
                    comments -= 1i64;
                    Source::New(new_comment(&document, comment))
                }
            });
            Ok(())
        })?;
        // The metadata must neither hide nor change what is there.
        if values.next().is_some()
            || comments != 0
            || document.branches.iter().any(|b| b.metadata().is_none())
        {
            return Err(EditError::NoRoom.into());
        }
        Ok(Self { store, document, metadata, sources, keeps_spellings: true })
    }

    /// Seals the draft; it has new content for certain.
    fn seal(self, cipher: &Cipher, originals: &Originals<'_>, style: Style) -> Result<SecretText, FileError> {
        let sealed = self.reseal(cipher, originals, &[], style)?;
        Ok(sealed.expect("no text at all is not what it was before"))
    }

    /// Seals the draft; `None` when that gives `before` again.
    fn reseal(
        mut self,
        cipher: &Cipher,
        originals: &Originals<'_>,
        before: &[u8],
        style: Style,
    ) -> Result<Option<SecretText>, FileError> {
        let (mac, sealed_len) = self.digest(originals)?;
        if before.is_empty() {
            let metadata = self.finished_metadata(mac.clone(), cipher, style)?;
            let text = self.document.bytes();
            let (added, _) = metadata.change_of_len();
            let mut rewrite = Rewrite::new(text, metadata, text.len() + sealed_len + added);
            self.seal_spots(cipher, originals, |patch| rewrite.make(patch))?;
            if let Some(text) = rewrite.finish() {
                return Ok(Some(text));
            }
        }
        let mut whole = Patch::new();
        self.seal_spots(cipher, originals, |patch| whole.extend(std::mem::take(patch)))?;
        if !before.is_empty() && whole.apply(self.document.bytes()).expose() == before {
            return Ok(None);
        }
        whole.extend(self.finished_metadata(mac, cipher, style)?);
        Ok(Some(whole.apply(self.document.bytes())))
    }

    /// Replacements that put the digest into the metadata.
    fn finished_metadata(
        &mut self,
        mac: MacHasher,
        cipher: &Cipher,
        style: Style,
    ) -> Result<Patch, FileError> {
        self.metadata.last_modified = LastModified::now();
        self.metadata.mac = mac.finish().seal(cipher, &self.metadata.last_modified.aad())?.to_string();
        let fields =
            [("lastmodified", self.metadata.last_modified.as_str()), ("mac", self.metadata.mac.as_str())];
        let metadata = self.store.update_metadata(&self.document, &fields);
        Ok(metadata
            .unwrap_or_else(|| self.store.write_metadata(&self.document, &self.metadata.to_tree(), style)))
    }

    /// The value of each spot of the walk, and where it was before, if anywhere.
    fn values<'v>(
        &'v self,
        originals: &'v Originals<'_>,
    ) -> impl Iterator<Item = (Option<&'v Plaintext>, Option<&'v OpenSpot>)> {
        self.sources.iter().map(|source| match source {
            Source::New(value) => (value.as_ref(), None),
            Source::Old(number) => {
                let spot = &originals.spots[*number];
                (spot.value.as_ref(), Some(spot))
            }
        })
    }

    /// The digest over the values, and about by how much the text becomes longer when they are sealed.
    fn digest(&self, originals: &Originals<'_>) -> Result<(MacHasher, usize), FileError> {
        let selection = Selection::compile(&self.metadata.selection)?;
        let mut mac = MacHasher::new(self.metadata.mac_only_encrypted);
        let mut added = 0;
        let mut values = self.values(originals);
        walk(&self.document, &selection, |place| -> Result<(), FileError> {
            let (value, _) = values.next().expect("every spot of a draft has its source");
            let Some(value) = value else { return Ok(()) };
            if matches!(place.spot, Spot::Leaf(_)) && (place.selected || !self.metadata.mac_only_encrypted) {
                mac.update(value);
            }
            if place.selected {
                added += cipher::SEALED_OVERHEAD + value.expose().len().div_ceil(3);
            }
            Ok(())
        })?;
        Ok((mac, added))
    }

    /// Gives the replacements that seal each spot to `take`, which is to empty the patch.
    fn seal_spots(
        &self,
        cipher: &Cipher,
        originals: &Originals<'_>,
        mut take: impl FnMut(&mut Patch),
    ) -> Result<(), FileError> {
        let selection = Selection::compile(&self.metadata.selection)?;
        let mut patch = Patch::new();
        let mut unused = originals.by_content.clone();
        for source in &self.sources {
            if let Source::Old(number) = source
                && let Some(value) = &originals.spots[*number].value
            {
                // What stays in its place is not there for others.
                let hash = content_hash(&originals.spots[*number].aad, value.kind(), value.expose());
                unused.entry(hash).and_modify(|numbers| numbers.retain(|other| other != number));
            }
        }
        let mut values = self.values(originals);
        walk(&self.document, &selection, |place| -> Result<(), FileError> {
            let (value, old) = values.next().expect("every spot of a draft has its source");
            let Some(value) = value else { return Ok(()) };
            let aad = place.path.aad();
            match (place.selected && !value.is_empty(), old) {
                (true, Some(spot)) if spot.sealed.is_some() && spot.aad == aad => return Ok(()),
                (false, Some(spot)) if spot.sealed.is_some() => {
                    open_spot(&mut patch, self.store, &self.document, place.spot, value);
                }
                (false, _) => return Ok(()),
                (true, old) => {
                    let reused = match old {
                        Some(_) => None,
                        None => originals.take(&mut unused, &aad, value),
                    };
                    let sealed = match reused {
                        Some(number) => originals.sealed_text(number),
                        None => seal_value(cipher, &aad, value, &selection)?,
                    };
                    match old {
                        Some(spot) if spot.sealed.is_some() => {
                            patch.replace(sealed_part(self.document.bytes(), place.spot), sealed);
                        }
                        _ => {
                            let mut sealed = sealed;
                            if let (Spot::Leaf(leaf), true) = (place.spot, self.keeps_spellings)
                                && let Some(odd) = self.store.odd_spelling(&self.document, leaf, value)
                            {
                                cipher::push_spelling(&mut sealed, &odd, cipher, &aad)?;
                            }
                            self.put_sealed(&mut patch, place.spot, value, &sealed, reused, originals);
                        }
                    }
                }
            }
            take(&mut patch);
            Ok(())
        })
    }

    /// Puts the sealed text where a value stands in clear.
    fn put_sealed(
        &self,
        patch: &mut Patch,
        spot: Spot<'_>,
        value: &Plaintext,
        sealed: &str,
        reused: Option<usize>,
        originals: &Originals<'_>,
    ) {
        let text = self.document.bytes();
        let spelling = reused.and_then(|number| Some((number, originals.spellings.get(&number)?)));
        if let Some((number, (spelled, span))) = spelling {
            // Written as it was opened: the very bytes from before, dash and quotes included.
            let sealed_as = span.of(originals.text);
            let was_element = sealed_as.starts_with(b"-");
            let start = match spot {
                Spot::Leaf(leaf) => leaf.span.start,
                Spot::Comment(comment) if was_element && comment.in_list => comment.span.start - 1,
                Spot::Comment(comment) => comment.span.start,
            };
            let place = Span::new(start, start + spelled.len());
            let fits = match spot {
                // All of it, or the rest of another spelling would stay: `1` is the start of `1.0`.
                Spot::Leaf(leaf) => {
                    place.end <= leaf.span.end.max(start)
                        && text[place.end..leaf.span.end].trim_ascii().is_empty()
                        && leaf.in_flow == originals.spots[number].in_flow
                        && leaf.tag.is_none()
                        // Only quotes may stand directly before a comment.
                        && (text.get(place.end) != Some(&b'#') || matches!(sealed_as.last(), Some(b'"' | b'\'')))
                }
                Spot::Comment(comment) => was_element || place.end == comment.span.end,
            };
            // What takes a line or more of its own does so at this column only.
            let in_place = !(was_element || sealed_as.contains(&b'\n') || sealed_as.contains(&b'\r'))
                || line_start(text, start) == line_start(originals.text, span.start);
            if fits && in_place && text[start..].starts_with(spelled.expose()) {
                return patch.replace(place, SecretText::copy_of(sealed_as));
            }
        }
        match spot {
            Spot::Leaf(leaf) => self.store.seal_leaf(patch, &self.document, leaf, value, sealed),
            Spot::Comment(comment) => self.store.seal_comment(patch, &self.document, comment, sealed),
        }
    }
}

/// Seals a file that is nothing but bytes, in an envelope.
fn seal_bytes(
    content: SecretText,
    cipher: &Cipher,
    mut metadata: Metadata,
    envelope: &dyn Store,
    style: Style,
) -> Result<SecretText, FileError> {
    ensure_data_is_sealed(&metadata)?;
    let aad = data_path().aad();
    let hash = || {
        let mut mac = MacHasher::new(metadata.mac_only_encrypted);
        mac.update_bytes(content.expose());
        mac.finish()
    };
    // The digest takes longest; meanwhile the other thread makes the sealed text. Where there is no other thread to
    // be had, this one does both.
    let seal = || -> Result<SecretText, FileError> {
        let sealed = cipher.seal_bytes(&aad, content.expose())?;
        Ok(sealed.map(|sealed| sealed.to_text()).unwrap_or_default())
    };
    let (mac, sealed) = std::thread::scope(|scope| {
        let other = match content.len() {
            ..BYTES_FOR_TWO => None,
            _ => std::thread::Builder::new().spawn_scoped(scope, hash).ok(),
        };
        let sealed = seal();
        let mac = match other {
            Some(other) => other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => hash(),
        };
        (mac, sealed)
    });
    let mut sealed = sealed?;
    drop(content);
    metadata.last_modified = LastModified::now();
    metadata.mac = mac.seal(cipher, &metadata.last_modified.aad())?.to_string();
    let block = metadata.to_tree();
    let lines = vec![
        Line::Pair(DATA_KEY.to_owned(), Content::Held(Plaintext::text(""))),
        Line::Pair(METADATA_KEY.to_owned(), Content::from(&block)),
    ];
    let envelope_text = envelope.print_file(&[lines], style)?;
    let empty = envelope.parse(envelope_text)?;
    let place = empty.branches[0].root.pair(DATA_KEY).expect("it was printed").value.span();
    sealed.surround(&empty.bytes()[..place.start + 1], &empty.bytes()[place.end - 1..]);
    Ok(sealed)
}

/// So many bytes are worth a second thread.
const BYTES_FOR_TWO: usize = 64 * 1024;

fn data_path() -> KeyPath {
    KeyPath::from_iter([DATA_KEY.to_owned()])
}

/// Fails when the selection would leave the bytes of a file in clear.
fn ensure_data_is_sealed(metadata: &Metadata) -> Result<(), FileError> {
    let selection = Selection::compile(&metadata.selection)?;
    match selection.selects_value(&data_path(), &CommentStack::disabled()) {
        true => Ok(()),
        false => Err(FileError::NothingSealed),
    }
}

/// What stands before `offset` on its line.
fn line_start(text: &[u8], offset: usize) -> &[u8] {
    let before = &text[..offset];
    let start = before.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
    &before[start..]
}

fn open_spot(patch: &mut Patch, store: &dyn Store, document: &Document, spot: Spot<'_>, value: &Plaintext) {
    match spot {
        Spot::Leaf(leaf) => store.open_leaf(patch, document, leaf, value),
        Spot::Comment(comment) => store.open_comment(patch, document, comment, value.expose()),
    }
}

fn seal_value(
    cipher: &Cipher,
    aad: &Aad,
    value: &Plaintext,
    selection: &Selection,
) -> Result<String, FileError> {
    for _ in 0..SEAL_ATTEMPTS {
        let sealed = cipher.seal(aad, value)?.expect("the caller leaves empty values alone").to_string();
        debug_assert!(cipher::looks_sealed(sealed.as_bytes()));
        // sops gives up at the first such text; another nonce may give a better one.
        if value.kind() != Kind::Comment || !selection.misreads_sealed_comment(&sealed) {
            return Ok(sealed);
        }
    }
    Err(FileError::CommentMatches)
}
