//! Secrets as types that wipe themselves.
//!
//! This is the only module that names `zeroize`. Nothing here implements `Debug`, `Display`,
//! `Clone` or serde, so a secret can be neither logged nor copied by accident; [`SecretText::expose`]
//! and its siblings are the only ways to look, which makes `grep expose` the audit.

use std::io::Read;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Length of a data key in bytes.
pub const DATA_KEY_LEN: usize = 32;

/// The 32 bytes that seal every value of one file.
///
/// ```compile_fail
/// let key = orlop::DataKey::generate().unwrap();
/// println!("{key:?}"); // a data key has no Debug
/// ```
#[derive(ZeroizeOnDrop)]
pub struct DataKey(Box<[u8; DATA_KEY_LEN]>);

impl DataKey {
    /// Makes a new data key from the operating system's random source.
    pub fn generate() -> Result<Self, RandomError> {
        let mut key = Self(Box::new([0; DATA_KEY_LEN]));
        getrandom::fill(&mut key.0[..]).map_err(|_| RandomError)?;
        Ok(key)
    }

    /// Takes the bytes of a data key; `None` unless there are exactly 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Box::new([0; DATA_KEY_LEN]));
        if bytes.len() != DATA_KEY_LEN {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// The raw bytes.
    pub fn expose(&self) -> &[u8; DATA_KEY_LEN] {
        &self.0
    }
}

/// What a master key wraps: the whole data key, or one Shamir share of it.
///
/// A type of its own, so that a share cannot be used as a data key.
#[derive(ZeroizeOnDrop)]
pub struct KeyPart(Box<[u8]>);

impl KeyPart {
    /// The part of a file with a single key group: the data key itself.
    pub fn whole(key: &DataKey) -> Self {
        Self(key.expose().to_vec().into_boxed_slice())
    }

    /// Takes over the bytes of a part that a provider unwrapped.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice())
    }

    /// The raw bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random source failed")]
pub struct RandomError;

/// Fills `buffer` from the operating system's random source.
pub(crate) fn fill_random(buffer: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(buffer).map_err(|_| RandomError)
}

/// Bytes of one decoded value.
#[derive(ZeroizeOnDrop, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes over `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Copies `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Drops everything after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        if len < self.0.len() {
            self.0[len..].zeroize();
            self.0.truncate(len);
        }
    }

    /// The same bytes as a whole text.
    pub fn into_text(mut self) -> SecretText {
        SecretText(std::mem::take(&mut self.0))
    }

    /// Wipes the bytes now, for an owner who is not going to be dropped.
    pub(crate) fn wipe(&mut self) {
        self.0.zeroize();
    }
}

/// A whole text that may hold secrets: a file read, an edited document, what helm is given.
///
/// Build it with [`SecretText::with_capacity`] and the `push` methods. When it must grow it moves to
/// a larger buffer and wipes the old one, so no copy is left behind.
#[derive(Zeroize, ZeroizeOnDrop, Default, PartialEq, Eq)]
pub struct SecretText(Vec<u8>);

impl SecretText {
    /// Takes over `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// An empty text with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Copies `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Appends `bytes`; a buffer that is outgrown is wiped.
    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            self.grow(needed.max(2 * self.0.capacity()));
        }
        self.0.extend_from_slice(bytes);
    }

    /// Moves to a buffer of `capacity` bytes and wipes the old one.
    fn grow(&mut self, capacity: usize) {
        let mut larger = Vec::with_capacity(capacity);
        larger.extend_from_slice(&self.0);
        self.0.zeroize();
        self.0 = larger;
    }

    /// Puts `before` in front and appends `after`, in the same buffer if it has the room.
    pub fn surround(&mut self, before: &[u8], after: &[u8]) {
        let len = self.0.len();
        self.push(before);
        self.push(after);
        let (inner, added) = (before.len() + len, before.len());
        self.0.copy_within(..len, added);
        self.0[..added].copy_from_slice(before);
        self.0[inner..].copy_from_slice(after);
    }

    /// Appends the UTF-8 of `text`.
    pub fn push_str(&mut self, text: &str) {
        self.push(text.as_bytes());
    }

    /// Drops everything after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        if len < self.0.len() {
            self.0[len..].zeroize();
            self.0.truncate(len);
        }
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes as one value.
    pub fn into_bytes(mut self) -> SecretBytes {
        SecretBytes(std::mem::take(&mut self.0))
    }

    /// Wipes the bytes now, for an owner who is not going to be dropped.
    pub(crate) fn wipe(&mut self) {
        self.0.zeroize();
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads `source` to its end, growing without leaving copies behind.
    pub fn read_from(source: &mut impl Read, size_hint: usize) -> std::io::Result<Self> {
        let mut text = Self::with_capacity(size_hint + MIN_ROOM);
        loop {
            // No more than there is room for: a buffer that the standard library outgrows is not wiped.
            let room = text.0.capacity() - text.0.len();
            let read = source.by_ref().take(room as u64).read_to_end(&mut text.0)?;
            if read < room {
                return Ok(text);
            }
            text.grow(2 * text.0.capacity());
        }
    }
}

/// Into less room than this the standard library reads by way of the stack.
const MIN_ROOM: usize = 64;

/// Wipes what a library left in `bytes`; afterwards it is empty.
pub(crate) fn wipe(bytes: &mut Vec<u8>) {
    bytes.zeroize();
}

/// A fixed-size scratch buffer that is wiped when it goes out of scope.
pub(crate) fn scratch(len: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![0; len])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiped<T: ZeroizeOnDrop>() {}

    #[test]
    fn every_secret_type_wipes_itself_on_drop() {
        wiped::<DataKey>();
        wiped::<KeyPart>();
        wiped::<SecretBytes>();
        wiped::<SecretText>();
    }

    #[test]
    fn nothing_is_left_of_what_is_wiped_early() {
        let (mut bytes, mut text) = (SecretBytes::copy_of(b"abc"), SecretText::copy_of(b"abc"));
        bytes.wipe();
        text.wipe();
        assert!(bytes.expose().is_empty() && text.is_empty());
    }

    #[test]
    fn a_growing_text_keeps_its_content() {
        let mut text = SecretText::with_capacity(1);
        for _ in 0..100 {
            text.push_str("abc");
        }
        assert_eq!(text.expose(), "abc".repeat(100).as_bytes());
    }

    #[test]
    fn a_text_is_read_to_its_end_whatever_its_size_was_thought_to_be() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        for len in [0, 1, 31, 63, 64, 65, 127, 128, 129, 4096, 100_000] {
            for hint in [0, 1, len, len + 1, 2 * len] {
                let text = SecretText::read_from(&mut &bytes[..len], hint).unwrap();
                assert_eq!(text.expose(), &bytes[..len]);
                let slow = &mut std::io::BufReader::with_capacity(7, &bytes[..len]);
                assert_eq!(SecretText::read_from(slow, hint).unwrap().expose(), &bytes[..len]);
            }
        }
    }

    #[test]
    fn a_text_of_the_size_that_was_said_is_read_into_one_buffer() {
        for len in [0, 1, 500, 70_000] {
            let text = SecretText::read_from(&mut vec![7; len].as_slice(), len).unwrap();
            assert!(text.0.capacity() < len + 2 * MIN_ROOM, "{} for {len}", text.0.capacity());
        }
    }

    #[test]
    fn a_text_is_surrounded_whether_or_not_it_has_the_room() {
        for room in [0, 100] {
            for (before, after) in [("", ""), ("[", "]"), ("long before", ""), ("", "long after")] {
                let mut text = SecretText::with_capacity(room);
                text.push_str("text");
                text.surround(before.as_bytes(), after.as_bytes());
                assert_eq!(text.expose(), format!("{before}text{after}").as_bytes());
            }
        }
    }

    #[test]
    fn a_data_key_has_exactly_32_bytes() {
        assert!(DataKey::from_bytes(&[7; 31]).is_none());
        assert!(DataKey::from_bytes(&[7; 33]).is_none());
        assert_eq!(DataKey::from_bytes(&[7; 32]).unwrap().expose(), &[7; 32]);
    }
}
