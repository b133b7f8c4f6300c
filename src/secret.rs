//! Secrets as types that wipe themselves.
//!
//! This is the only module that names `zeroize`. Nothing here implements `Debug`, `Display`,
//! `Clone` or serde, so a secret can be neither logged nor copied by accident; [`SecretText::expose`]
//! and its siblings are the only ways to look, which makes `grep expose` the audit.

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
            let mut larger = Vec::with_capacity(needed.max(2 * self.0.capacity()));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
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

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads `source` to its end, growing without leaving copies behind.
    pub fn read_from(source: &mut impl std::io::Read, size_hint: usize) -> std::io::Result<Self> {
        let mut text = Self::with_capacity(size_hint + 1);
        let mut chunk = Zeroizing::new(vec![0u8; (size_hint + 1).clamp(512, 64 * 1024)]);
        loop {
            match source.read(&mut chunk) {
                Ok(0) => return Ok(text),
                Ok(n) => text.push(&chunk[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
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
    fn a_growing_text_keeps_its_content() {
        let mut text = SecretText::with_capacity(1);
        for _ in 0..100 {
            text.push_str("abc");
        }
        assert_eq!(text.expose(), "abc".repeat(100).as_bytes());
    }

    #[test]
    fn a_data_key_has_exactly_32_bytes() {
        assert!(DataKey::from_bytes(&[7; 31]).is_none());
        assert!(DataKey::from_bytes(&[7; 33]).is_none());
        assert_eq!(DataKey::from_bytes(&[7; 32]).unwrap().expose(), &[7; 32]);
    }
}
